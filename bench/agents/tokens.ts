/** The built-in model agent with as many slots as the figure has streams; `troupe start --agents` loads it. */
import { modelChat } from "../../src/builtin/chat/model-chat.ts";
import { Toolbox } from "../../src/builtin/chat/tools/toolbox.ts";
import { createModelClient } from "../../src/builtin/index.ts";
import { systemClock } from "../../src/bus/system-clock.ts";

const { MODEL_BASE_URL = "", MODEL_NAME = "" } = process.env;
const client = createModelClient({ baseUrl: MODEL_BASE_URL, model: MODEL_NAME }, systemClock);

export const benchChat = { ...modelChat(client, new Toolbox()), type: "bench-chat", concurrency: 512 };
