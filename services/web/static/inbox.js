// A list that changes with every frame of its service: of conversations, of notifications.
import { refresh } from "./regions.js";
import { stayConnected } from "./live.js";

stayConnected(document.querySelector("[data-live]").dataset.live, { onFrame: refresh, onOpen: refresh });
