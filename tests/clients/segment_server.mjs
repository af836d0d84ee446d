// The Node clients that speak Segment's wire, as a Node application uses them: sends messages, and is flushed at the end.
const { client, url, key, messages } = JSON.parse(process.argv[2]);
const failures = [];

const clients = {
  async segment() {
    const { Analytics } = await import("@segment/analytics-node");
    return closing(new Analytics({ writeKey: key, host: url }));
  },
  async customerio() {
    const { Analytics } = (await import("@customerio/cdp-analytics-node")).default;
    return closing(new Analytics({ writeKey: key, host: url }));
  },
  async rudderstack() {
    const { default: RudderAnalytics } = await import("@rudderstack/rudder-sdk-node");
    const errorHandler = (error) => failures.push(error.response?.data ?? error.message);
    const analytics = new RudderAnalytics(key, { dataPlaneUrl: url, errorHandler });
    const sent = [];
    const send = (type, message) => sent.push(new Promise((resolve) => analytics[type](message, resolve)));
    return { send, close: () => Promise.all([analytics.flush(), ...sent]) };
  },
};

function closing(analytics) {
  analytics.on("error", ({ reason }) => failures.push(String(reason)));
  return { send: (type, message) => analytics[type](message), close: () => analytics.closeAndFlush() };
}

const opened = await clients[client]();
for (const { type, ...message } of messages) {
  opened.send(type, message);
}
await opened.close();
console.log(JSON.stringify(failures));
process.exit(0);
