/** The worker SDK: what others import. */
export { Api, ApiError, type Credentials } from "./api.ts";
export { type Task, TaskFailure, TaskRejected, type Told } from "./task.ts";
export { Worker, type WorkerOptions } from "./worker.ts";
