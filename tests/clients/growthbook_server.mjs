// GrowthBook's SDK as a Node application uses it: features evaluated remotely, each exposure told by the callback.
import { GrowthBook } from "@growthbook/growthbook";

const { url, key, serverKey, attributes, features, show, remoteEval = true } = JSON.parse(process.argv[2]);
const headers = { Authorization: `Bearer ${serverKey ?? key}` };
const told = [];
const shown = [];

const gb = new GrowthBook({
  apiHost: url,
  clientKey: key,
  apiHostRequestHeaders: serverKey ? headers : {},
  remoteEval,
  attributes,
  trackingCallback(experiment, result) {
    told.push({ experiment: experiment.key, variation: result.key, decisionId: result.hashValue });
    if (show) {
      shown.push(fetch(`${url}/v1/decisions/${result.hashValue}/activate`, { method: "POST", headers }));
    }
  },
});
const { success } = await gb.init({ skipCache: true });
const values = Object.fromEntries(features.map((name) => [name, gb.getFeatureValue(name, "fallback")]));
await Promise.all(shown);
console.log(JSON.stringify({ success, values, told }));
gb.destroy();
