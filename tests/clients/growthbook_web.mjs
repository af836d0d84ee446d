// GrowthBook's SDK as a page uses it: features evaluated remotely, each exposure told by a beacon.
import { GrowthBook } from "@growthbook/growthbook";

let gb;
const told = [];

window.start = async ({ url, key, attributes }) => {
  gb = new GrowthBook({
    apiHost: url,
    clientKey: key,
    remoteEval: true,
    attributes,
    trackingCallback(experiment, result) {
      told.push({ experiment: experiment.key, variation: result.key, decisionId: result.hashValue });
      navigator.sendBeacon(`${url}/v1/decisions/${result.hashValue}/activate?key=${key}`);
    },
  });
  return (await gb.init({ skipCache: true })).success;
};

window.feature = (name) => gb.getFeatureValue(name, "fallback");
window.told = () => told;
window.enter = (attributes) => gb.updateAttributes(attributes);
