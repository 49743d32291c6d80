// The words of the page's language: t("English text", {name: "…"}).

const language = document.documentElement.lang === "es" ? "es" : "en";
const words = (await import(`./words-${language}.js`)).default;

export function t(english, names = {}) {
  const text = words[english] ?? english;
  return text.replace(/\{(\w+)\}/g, (whole, name) => names[name] ?? whole);
}

export const number = new Intl.NumberFormat(language === "es" ? "es-CO" : "en-GB");
