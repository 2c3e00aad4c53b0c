"use strict";
// The page is complete without this; it only sorts the cards.
const list = document.getElementById("cards");
const choice = document.getElementById("sort");
const compare = {
  effect: (a, b) =>
    a.dataset.control - b.dataset.control ||
    b.dataset.effect - a.dataset.effect ||
    a.dataset.order - b.dataset.order,
  order: (a, b) => a.dataset.order - b.dataset.order,
  prompt: (a, b) => a.dataset.prompt.localeCompare(b.dataset.prompt),
  verdict: (a, b) => a.dataset.verdict.localeCompare(b.dataset.verdict) || compare.effect(a, b),
};
choice.closest("[hidden]").hidden = false;
choice.addEventListener("change", () => {
  list.append(...[...list.children].sort(compare[choice.value]));
});
