// PostHog's SDK as a Node application uses it: asks for flags, captures events (gzip), identifies.
import { PostHog } from "posthog-node";

const { url, key, distinctId, flag, events = [], identify } = JSON.parse(process.argv[2]);
const posthog = new PostHog(key, { host: url, flushAt: 100, flushInterval: 0 });
const errors = [];
posthog.on("error", (error) => errors.push(String(error)));

if (identify) posthog.identify({ distinctId, properties: identify });
const found = {};
if (flag) {
  const flags = await posthog.evaluateFlags(distinctId);
  found.value = flags.getFlag(flag);
  found.payload = flags.getFlagPayload(flag);
}
for (const event of events) posthog.capture({ distinctId, ...event });
await posthog.shutdown();
console.log(JSON.stringify({ ...found, errors }));
