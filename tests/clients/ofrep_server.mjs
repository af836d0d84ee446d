// OpenFeature's server SDK, as a Node application uses it: evaluates flags, and tells of what it shows by a hook.
import { OpenFeature } from "@openfeature/server-sdk";
import { OFREPProvider } from "@openfeature/ofrep-provider";

const { url, key, context, flags, show } = JSON.parse(process.argv[2]);
const headers = { Authorization: `Bearer ${key}` };

await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: url, headers: Object.entries(headers) }));
const client = OpenFeature.getClient();
if (show) {
  client.addHooks({
    async after(_, { flagMetadata }) {
      await fetch(`${url}/v1/decisions/${flagMetadata.decisionId}/activate`, { method: "POST", headers });
    },
  });
}

const ask = {
  boolean: (name, fallback) => client.getBooleanDetails(name, fallback, context),
  number: (name, fallback) => client.getNumberDetails(name, fallback, context),
  string: (name, fallback) => client.getStringDetails(name, fallback, context),
  object: (name, fallback) => client.getObjectDetails(name, fallback, context),
};
const found = {};
for (const [name, fallback] of Object.entries(flags)) {
  found[name] = await ask[typeof fallback](name, fallback);
}
console.log(JSON.stringify(found));
await OpenFeature.close();
