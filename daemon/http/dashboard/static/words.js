// The words of the page's language, which words-es.js or words-en.js has: t("English text", {name: "…"}).

const { lang } = document.documentElement;

export function t(english, names = {}) {
  const text = window.words[english] ?? english;
  return text.replace(/\{(\w+)\}/g, (whole, name) => names[name] ?? whole);
}

export const number = new Intl.NumberFormat(lang === "es" ? "es-CO" : "en-GB");
