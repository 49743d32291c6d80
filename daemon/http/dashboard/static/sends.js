// What people do about a message of ours that was refused; the page's script says when.

import { postJson } from "./http.js";
import { t } from "./words.js";

export async function toldOfSend({ sendAgain, dropSend }) {
  const path = sendAgain ? `${sendAgain}/again` : `${dropSend}/drop`;
  await postJson(`/dashboard/api/sends/${path}`);
  return sendAgain ? t("It will be sent again.") : t("It will not be sent.");
}
