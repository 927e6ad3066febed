// The picture for the README: a short run of real calls, as the page shows it.
import { Listener, handler, launch } from "./stage.mjs";

/** Takes it; ends with 0. */
export async function picture(program, file) {
  const passedOn = await handler(200, "got it\n");
  const listener = await Listener.start(program, "--forward-to", passedOn.url);
  const send = (story, ...more) => listener.send("-s", story, "--at", "2026-11-22T09:00:00Z", ...more);
  await send("legacy", "--seed", "3");
  await send("agent-rejected", "--seed", "4", "--method", "both");
  await send("customer-no-answer", "--seed", "1", "--duplicate", "1", "--speed", "0.5");
  const browser = await launch();
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme: "light", reducedMotion: "reduce" });
  await page.goto(listener.inspect);
  await page.locator('.open[data-n="4"]').click();
  await page.locator("#detail .body").last().waitFor();
  await page.screenshot({ path: file });
  await browser.close();
  await listener.stop();
  passedOn.close();
  return 0;
}
