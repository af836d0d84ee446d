// As somebody writes it: compiled strictly, against the package as it is published. What must not compile says so.
import { Client, type Answer, type Decision, NextbestError, type Options } from "@nextbest/client";

const options: Options = { url: "https://nextbest.example.com", key: "pk_1", onError: (error: NextbestError) => error.field };
const client = new Client(options);

export async function shown(): Promise<Decision> {
  const answer: Answer = await client.decide(["hero", { placement: "list", slots: 3 }], { anonymousId: "a1" }, {
    default: "<p>welcome</p>",
    defaults: { list: [] },
    timeoutMs: 300,
  });
  const decision = answer.first("hero");
  const revision: number | null = answer.stateRevision;
  client.reward(decision, 1, { name: "click" });
  client.track({ userId: "u1" }, "Product Viewed", { price: 79, at: revision });
  // @ts-expect-error: a visitor has no email
  client.track({ email: "a@example.com" }, "Product Viewed");
  // @ts-expect-error: seconds are not what it takes
  await client.decide("hero", { anonymousId: "a1" }, { timeout: 1 });
  // @ts-expect-error: content is anything until it was looked at
  decision.content.html;
  return decision;
}
