// The picture for the README: a short run of real calls, as the page shows it.
import { Listener, launch } from "./stage.mjs";

/** Takes it; ends with 0. */
export async function picture(program, file) {
  const listener = await Listener.start(program);
  await listener.send("-s", "legacy", "--seed", "3");
  await listener.send("-s", "agent-no-answer", "--duplicate", "1", "--seed", "2");
  await listener.send("-s", "customer-no-answer", "--seed", "1", "--speed", "20");
  const browser = await launch();
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme: "light", reducedMotion: "reduce" });
  await page.goto(listener.inspect);
  await page.locator("#detail .body").waitFor();
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path: file });
  await browser.close();
  await listener.stop();
  return 0;
}
