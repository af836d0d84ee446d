/** Asks nextbest what to show, and tells it what happened; never late, and never in the way. */
export { Answer } from "./answer.js";
export { Client } from "./client.js";
export { NextbestError } from "./errors.js";
export type { DecideOptions, EventFields, RewardOptions } from "./client.js";
export type { EventStorage, Options } from "./options.js";
export type { Fetch } from "./platform.js";
export type { AnswerFields, Decision, Json, Placement, Visitor, Warned } from "./wire.js";
