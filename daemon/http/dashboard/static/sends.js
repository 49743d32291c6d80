// Actions on a failed message; the page's script calls them.

import { postJson } from "./http.js";
import { t } from "./words.js";

export async function changeSend({ sendAgain, dropSend }) {
  const path = sendAgain ? `${sendAgain}/again` : `${dropSend}/drop`;
  await postJson(`/dashboard/api/sends/${path}`);
  return sendAgain ? t("It will be sent again.") : t("It will not be sent.");
}
