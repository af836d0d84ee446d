// RudderStack's SDK in a page of another origin: it asks for its configuration, and sends events singly or by beacon.
import { RudderAnalytics } from "@rudderstack/analytics-js/bundled";

const analytics = new RudderAnalytics();

window.start = ({ url, key, useBeacon }) => {
  analytics.load(key, url, { configUrl: url, useBeacon, beaconQueueOptions: { flushQueueInterval: 100 } });
  return new Promise((resolve) => analytics.ready(() => resolve(analytics.getAnonymousId())));
};

window.identify = (userId, traits) => new Promise((resolve) => analytics.identify(userId, traits, undefined, resolve));
window.track = (event, properties) => analytics.track(event, properties);
