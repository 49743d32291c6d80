// Actions on a failed message; the page's script calls them.

import { postJson } from "./http.js";
import { t } from "./words.js";

export async function changeSend({ sendAgain, dropSend }) {
  const path = sendAgain ? `${sendAgain}/send-again` : `${dropSend}/drop`;
  await postJson(`/api/v1/failed-messages/${path}`);
  return sendAgain ? t("It will be sent again.") : t("It will not be sent.");
}
