// The inbox: whatever happens in any conversation, the list is looked at again.
import { refresh } from "./regions.js";
import { stayConnected } from "./live.js";

stayConnected("chat", { after: () => ({}), hear: refresh, back: refresh });
