// The inbox: every frame, of any conversation, refreshes the list.
import { refresh } from "./regions.js";
import { stayConnected } from "./live.js";

stayConnected("chat", { onFrame: refresh, onOpen: refresh });
