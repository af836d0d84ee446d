// OpenFeature's web SDK, as a page uses it: all flags at once, again when the context changes, and polled.
import { OpenFeature } from "@openfeature/web-sdk";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";

let site;

window.start = async ({ url, key, context, pollInterval }) => {
  site = { url, headers: { Authorization: `Bearer ${key}` } };
  const headers = Object.entries(site.headers);
  await OpenFeature.setContext(context);
  await OpenFeature.setProviderAndWait(
    new OFREPWebProvider({ baseUrl: url, headers, pollInterval, cacheMode: "disabled" }),
  );
};

window.enter = (context) => OpenFeature.setContext(context);

window.flag = (name, fallback) => {
  const client = OpenFeature.getClient();
  const ask = { boolean: "getBooleanDetails", number: "getNumberDetails", string: "getStringDetails" };
  return client[ask[typeof fallback] ?? "getObjectDetails"](name, fallback);
};

window.show = async (details, anonymousId) => {
  const properties = { decisionId: details.flagMetadata.decisionId };
  const body = JSON.stringify({ type: "track", event: "Impression", anonymousId, properties });
  return (await fetch(`${site.url}/v1/events`, { method: "POST", headers: site.headers, body })).status;
};

window.stop = () => OpenFeature.close();
