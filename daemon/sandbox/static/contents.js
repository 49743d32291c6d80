// What a message holds, as nodes. Whatever it says reaches the page as text, never as markup.

import { voicePlayer } from "./player.js";
import { authorOf, button, element, icon, isAgent, post, state } from "./state.js";
import { T, sizeOf } from "./texts.js";

const MARKS = { "*": "strong", _: "em", "~": "s" };
const FORMATS = /(```[\s\S]+?```|https?:\/\/\S+|(?<![\w*])\*(?=\S)[^*\n]+?(?<=\S)\*(?!\w)|(?<!\w)_(?=\S)[^_\n]+?(?<=\S)_(?!\w)|(?<!\w)~(?=\S)[^~\n]+?(?<=\S)~(?!\w))/;
const FILE = "M6 2h8l6 6v14H6zM14 2v6h6";
const PIN = "M12 2a7 7 0 0 0-7 7c0 5 7 13 7 13s7-8 7-13a7 7 0 0 0-7-7zm0 9.5A2.5 2.5 0 1 1 12 6.5a2.5 2.5 0 0 1 0 5z";

// WhatsApp's own formatting: *bold*, _italics_, ~struck~, ```code```, and links.
export function formatted(text) {
  return text.split(FORMATS).filter(Boolean).map((part) => {
    if (part.startsWith("```") && part.length > 6) return element("code", "", part.slice(3, -3));
    if (/^https?:\/\//.test(part)) return outward(part, part);
    const tag = part.length > 2 && part.endsWith(part[0]) && MARKS[part[0]];
    return tag ? element(tag, "", part.slice(1, -1)) : document.createTextNode(part);
  });
}

function outward(href, text) {
  const link = element("a", "", text);
  link.href = href;
  link.rel = "noopener noreferrer";
  link.target = "_blank";
  return link;
}

// The words of a message in one line: for the list, for quotes, for whoever listens.
export function wordsOf(message) {
  if (message.deleted) return T.deleted;
  if (message.editedBody !== undefined) return message.editedBody;
  const content = message[message.type] ?? {};
  const body = typeof content.body === "object" ? content.body?.text : content.body;
  const choice = content.buttons_reply ?? content.list_reply;
  const words = body || content.caption || choice?.title;
  const kind = T.kinds[message.type];
  if (words) return kind && content.caption ? `${kind} · ${words}` : String(words);
  const name = content.file_name || content.title || (message.type.startsWith("contact") && content.name);
  return name && kind ? `${kind} · ${name}` : name || (kind ?? message.type);
}

const mediaUrl = (content) => `/phone/media/${encodeURIComponent(content.id)}`;

function picture(content, message) {
  const image = element("img", message.type);
  if (content.width) Object.assign(image, { width: content.width, height: content.height });
  image.src = mediaUrl(content);
  image.alt = content.caption || T.kinds[message.type];
  image.loading = "lazy";
  if (message.type === "sticker") return image;
  const link = outward(mediaUrl(content), "");
  link.className = "picture";
  link.append(image);
  return link;
}

function film(content) {
  const video = element("video");
  Object.assign(video, { src: mediaUrl(content), controls: true, preload: "metadata" });
  if (content.width) Object.assign(video, { width: content.width, height: content.height });
  return video;
}

function paper(content) {
  const link = element("a", "card file");
  link.href = mediaUrl(content);
  link.download = content.file_name || "";
  const text = element("span");
  const facts = [content.mime_type?.split("/").pop().split(";")[0].toUpperCase(), content.file_size && sizeOf(content.file_size)];
  text.append(element("b", "", content.file_name || T.kinds.document), element("small", "", facts.filter(Boolean).join(" · ")));
  link.append(icon(FILE, "icon line"), text);
  link.title = T.download;
  return link;
}

function place(content) {
  const made = element("div", "place");
  const map = element("div", "map");
  map.setAttribute("aria-hidden", "true");
  map.append(icon(PIN, "icon pin"));
  const text = element("div", "card");
  const where = `${Number(content.latitude).toFixed(4)}, ${Number(content.longitude).toFixed(4)}`;
  const words = element("span");
  words.append(element("b", "", content.name || content.caption || T.kinds.location), element("small", "", content.address || where));
  if (content.address) words.append(element("small", "", where));
  text.append(words);
  made.append(map, text);
  return made;
}

function card(content) {
  const made = element("div", "card person");
  const phone = /TEL[^:]*:(.+)/.exec(content.vcard ?? "")?.[1] ?? "";
  const words = element("span");
  words.append(element("b", "", content.name), element("small", "", phone));
  made.append(element("span", "avatar hue-3", [...(content.name ?? "?")][0]), words);
  return made;
}

function poll(content, message, chat) {
  const made = element("div", "poll");
  made.append(element("b", "", content.title));
  const me = authorOf(chat);
  for (const option of content.results ?? []) {
    const chosen = option.voters.includes(me);
    const row = button("option", "", () => {
      const kept = content.vote_limit === 1 ? [] : content.results.filter((r) => r.voters.includes(me)).map((r) => r.name);
      const value = chosen ? kept.filter((name) => name !== option.name) : [...kept, option.name];
      post("act", { id: message.id, action: "vote", value, author: me }).catch(() => {});
    });
    row.setAttribute("aria-pressed", String(chosen));
    row.disabled = isAgent();
    const bar = element("progress");
    Object.assign(bar, { max: Math.max(1, content.total ?? 0), value: option.count });
    bar.setAttribute("aria-hidden", "true");
    row.append(element("span", "", option.name), element("small", "", T.votes(option.count)), bar);
    made.append(row);
  }
  return made;
}

function menu(content, message, chat) {
  const made = element("div", "menu");
  const tap = (id) => post("act", { id: message.id, action: "tap", value: id, author: authorOf(chat) }).catch(() => {});
  if (content.header?.text) made.append(element("b", "", content.header.text));
  const body = element("div", "words");
  body.append(...formatted(content.body?.text ?? ""));
  made.append(body);
  if (content.footer?.text) made.append(element("small", "", content.footer.text));
  const choices = element("div", "choices");
  choices.setAttribute("role", "group");
  choices.setAttribute("aria-label", content.action?.list?.label ?? T.choices);
  const add = (part, title) => {
    const choice = button("choice", "", () => tap(part.id), title);
    choice.disabled = isAgent();
    choices.append(choice);
  };
  for (const part of content.action?.buttons ?? []) add(part, part.title);
  for (const section of content.action?.list?.sections ?? []) {
    if (section.title) choices.append(element("small", "section", section.title));
    for (const row of section.rows ?? []) add(row, row.description ? `${row.title} · ${row.description}` : row.title);
  }
  made.append(choices);
  return made;
}

function linkCard(content) {
  if (!content.title || content.title === content.url) return [];
  const made = outward(content.url, "");
  made.className = "card link";
  const words = element("span");
  words.append(element("b", "", content.title), element("small", "", content.description || content.url));
  made.append(words);
  return [made];
}

const DRAWN = {
  image: picture,
  sticker: picture,
  video: film,
  gif: film,
  short: film,
  voice: (content) => voicePlayer(content.id, content.seconds ?? 0),
  audio: (content) => voicePlayer(content.id, content.seconds ?? 0),
  document: paper,
  location: place,
  live_location: place,
  contact: card,
  poll,
  interactive: menu,
};

export function contentsOf(chat, message) {
  if (message.deleted) return [element("span", "gone", T.deleted)];
  const content = message[message.type] ?? {};
  const nodes = [];
  if (message.context?.forwarded) nodes.push(element("span", "flag", `↪ ${T.forwarded}`));
  if (content.view_once) nodes.push(element("span", "flag", `① ${T.once}`));
  if (message.type === "contact_list") nodes.push(...(content.list ?? []).map(card));
  else if (message.type === "link_preview") nodes.push(...linkCard(content));
  const draw = DRAWN[message.type];
  if (draw) nodes.push(draw(content, message, chat));
  const words = draw || message.type === "contact_list" ? message.editedBody ?? content.caption ?? "" : wordsOf(message);
  if (words) {
    const text = element("span", "words");
    text.append(...formatted(named(chat, String(words))));
    nodes.push(text);
  }
  return nodes;
}

// In groups a mention is written as a number; people read the name.
function named(chat, words) {
  return words.replace(/@(\d{7,15})/g, (whole, digits) => (chat.members[digits] ? `@${chat.members[digits]}` : digits === state.number ? `@${state.business}` : whole));
}
