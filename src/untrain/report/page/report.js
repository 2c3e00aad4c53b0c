"use strict";
// The page is complete without this: here are sorting, comparing and the large view of a picture.
const $ = (id) => document.getElementById(id);
const cards = [...document.querySelectorAll("#cards > article")];
const filters = ["verdict", "least", "words"].map($).filter(Boolean);
const all = (where, what) => [...where.querySelectorAll(what)];

// Sort and filter ---------------------------------------------------------------------------------
const effect = (card) => (card.dataset.effect === "" ? -Infinity : Number(card.dataset.effect));
const order = (a, b) => a.dataset.order - b.dataset.order;
const strongest = (a, b) =>
  a.dataset.control - b.dataset.control || effect(b) - effect(a) || order(a, b);
const compare = {
  effect: strongest,
  order,
  prompt: (a, b) => a.dataset.prompt.localeCompare(b.dataset.prompt) || order(a, b),
  verdict: (a, b) =>
    a.dataset.control - b.dataset.control ||
    a.dataset.verdict.localeCompare(b.dataset.verdict) ||
    strongest(a, b),
};

// A page without effects has no such filters.
const value = (id) => ($(id) ? $(id).value : "");

function shown(card) {
  const wanted = value("verdict");
  const control = card.dataset.control === "1";
  const least = value("least");
  const words = $("words").value.trim().toLowerCase();
  return (
    (!wanted || (wanted === "control" ? control : !control && card.dataset.verdict === wanted)) &&
    (least === "" || effect(card) >= Number(least)) &&
    card.dataset.prompt.toLowerCase().includes(words)
  );
}

function filter() {
  for (const card of cards) card.hidden = !shown(card);
  const count = cards.filter((card) => !card.hidden).length;
  $("count").value = `${count} of ${cards.length} prompts`;
}

function sort() {
  $("cards").append(...cards.sort(compare[$("sort").value]));
}

// A link to a prompt that a filter hides must arrive all the same.
function arrive() {
  let target = null;
  try {
    target = $(decodeURIComponent(location.hash.slice(1)));
  } catch {
    return;
  }
  const card = target && target.closest("article");
  if (!card) return;
  if (card.hidden) {
    for (const each of filters) each.value = "";
    filter();
  }
  card.scrollIntoView();
}

// Compare pictures drawn with and without images --------------------------------------------------
const PERIOD = 800; // milliseconds a picture is shown in the flicker, far below what harms
let flickering = null;
let tick = false;

function again(section) {
  const tools = section.querySelector(".arms-tools");
  if (!tools) return;
  const arms = all(section, ".arm");
  const choice = tools.querySelector("select");
  const buttons = all(tools, "button");
  let mode = "rows";
  const show = () => {
    arms.forEach((arm, i) => {
      arm.hidden = i !== Number(choice.value);
      arm.dataset.mode = mode;
      arm.querySelector(".arm-name").hidden = true;
      const slider = arm.querySelector(".slider");
      slider.hidden = mode !== "slide";
      arm.style.setProperty("--cut", `${slider.querySelector("input").value}%`);
    });
    for (const button of buttons) button.ariaPressed = String(button.dataset.mode === mode);
    if (mode === "flicker" && !flickering) flickering = setInterval(flick, PERIOD);
  };
  choice.addEventListener("change", show);
  for (const button of buttons) {
    button.addEventListener("click", () => {
      mode = button.dataset.mode;
      show();
    });
  }
  for (const arm of arms) arm.addEventListener("input", show);
  tools.hidden = false;
  show();
}

function flick() {
  const arms = all(document, '.arm[data-mode="flicker"]:not([hidden])');
  if (!arms.length) {
    clearInterval(flickering);
    flickering = null;
    return;
  }
  tick = !tick;
  for (const arm of arms) arm.style.setProperty("--cut", tick ? "0%" : "100%");
}

// One picture, large ------------------------------------------------------------------------------
const known = JSON.parse($("known").textContent);
const large = $("large");
let strip = []; // the buttons of the card in whose order one can go on
let at = -1;

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function facts(entry) {
  const list = make("dl");
  for (const [term, text] of entry.facts) {
    const line = list.appendChild(make("div"));
    line.append(make("dt", term), make("dd", text));
  }
  return list;
}

function uses(entry) {
  const list = make("ul");
  for (const use of entry.uses) {
    const line = list.appendChild(make("li"));
    if (use.href) {
      const link = line.appendChild(make("a", use.prompt, { href: use.href }));
      link.addEventListener("click", () => large.close());
    }
    line.append((use.href && use.words ? ": " : "") + use.words);
  }
  return list;
}

function table(content) {
  const scroll = make("div", "", { class: "scroll", tabindex: "0" });
  const body = scroll.appendChild(make("table"));
  const numeric = (i) => (/^[−\d.]+$/.test(content.rows[0][i]) ? { class: "n" } : {});
  const head = body.createTHead().insertRow();
  content.heads.forEach((text, i) => head.append(make("th", text, { scope: "col", ...numeric(i) })));
  const rows = body.createTBody();
  for (const cells of content.rows) {
    const row = rows.insertRow();
    cells.forEach((text, i) => row.append(make(i ? "td" : "th", text, numeric(i))));
  }
  return scroll;
}

function fill(key) {
  const entry = known[key];
  const parts = [$("large-title"), facts(entry)];
  $("large-kind").textContent = entry.kind;
  $("large-title").textContent = entry.title;
  $("large-picture").className = `large-picture ${entry.picture || "blank"}`;
  $("large-picture").textContent = entry.picture ? "" : entry.instead;
  $("large-picture").ariaLabel = `${entry.kind}: ${entry.title}`;
  if (entry.uses.length) {
    const where = key.startsWith("t/") ? "Candidate for" : "Drawn for";
    parts.push(make("h3", where), uses(entry));
  }
  const related = entry.see.filter((other) => known[other]);
  if (related.length) {
    const row = make("div", "", { class: "see" });
    for (const other of related) {
      const { picture, kind, instead } = known[other];
      const look = { class: `pic ${picture || "blank"}`, "aria-label": kind, type: "button" };
      const button = make("button", picture ? "" : instead, look);
      button.addEventListener("click", () => fill(other));
      row.append(button);
    }
    parts.push(make("h3", entry.saw), row);
  }
  if (entry.table.rows) parts.push(make("h3", entry.table.caption), table(entry.table));
  $("large-words").replaceChildren(...parts);
  $("large-previous").disabled = at <= 0;
  $("large-next").disabled = at >= strip.length - 1;
  large.scrollTop = 0;
}

function step(by) {
  if (!strip[at + by]) return;
  at += by;
  fill(strip[at].dataset.key);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest(".pic[data-key]");
  if (!button) return;
  strip = all(button.closest("article, .examples"), ".pic[data-key]");
  strip = strip.filter((other) => other.checkVisibility());
  at = strip.indexOf(button);
  fill(button.dataset.key);
  large.showModal();
});
large.addEventListener("click", (event) => event.target === large && large.close());
large.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
$("large-previous").addEventListener("click", () => step(-1));
$("large-next").addEventListener("click", () => step(1));
$("large-close").addEventListener("click", () => large.close());

// Start -------------------------------------------------------------------------------------------
for (const button of all(document, ".pic")) button.disabled = false;
for (const section of all(document, ".again")) again(section);
$("sort").addEventListener("change", sort);
for (const each of filters) each.addEventListener("input", filter);
document.querySelector(".tools").hidden = false;
filter();
addEventListener("hashchange", arrive);
arrive();
