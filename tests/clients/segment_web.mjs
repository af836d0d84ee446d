// Segment's analytics.js in a page of another origin: it asks for its settings, and sends one request per event.
import { AnalyticsBrowser } from "@segment/analytics-next";

let analytics;

window.start = async ({ url, key, batching }) => {
  const batches = { deliveryStrategy: { strategy: "batching", config: { size: 2, timeout: 100 } } };
  const integrations = batching ? { "Segment.io": batches } : {};
  analytics = AnalyticsBrowser.load({ writeKey: key, cdnURL: url }, { integrations });
  await analytics.ready();
  return (await analytics.user()).anonymousId();
};

window.identify = (userId, traits) => analytics.identify(userId, traits);
window.track = (event, properties, options) => analytics.track(event, properties, options);
