// Updates <time data-ago> without a request.

import { t } from "./words.js";

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]];

export function ago(at, now = Date.now() / 1000) {
  const passed = now - at;
  if (passed < 60) return t("now");
  const [size, unit] = UNITS.find(([seconds]) => passed >= seconds);
  return t("{span} ago", { span: `${Math.floor(passed / size)} ${unit}` });
}

export function showTimes(root = document) {
  for (const time of root.querySelectorAll("time[data-ago]")) {
    const words = ago(Date.parse(time.dateTime) / 1000);
    if (time.textContent !== words) time.textContent = words;
  }
}
