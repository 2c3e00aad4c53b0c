"use strict";
// Pages work without this, except for choosing pictures: here are dropping, pasting and looking.
const $ = (id) => document.getElementById(id);
const all = (what, where = document) => [...where.querySelectorAll(what)];

// Pictures ----------------------------------------------------------------------------------------
const asking = $("asking");
if (asking) {
  const chosen = new Map(); // key → item
  const drop = $("drop");
  const files = $("files");
  const tell = (words) => ($("problem").textContent = words);
  const said = $("ask").textContent;
  let waiting; // while an answer is on its way
  const ids = $("ids");
  const count = () =>
    ($("ask").disabled =
      !(chosen.size || ids?.value.trim()) || !!asking.querySelector(".sending"));
  ids?.addEventListener("input", count);

  async function send(file) {
    if (chosen.size >= Number(asking.dataset.most)) {
      tell(`At most ${asking.dataset.most} pictures at once.`);
      return;
    }
    if (file.size > Number(asking.dataset.largest)) {
      tell(`${file.name} is larger than ${Math.round(asking.dataset.largest / 2 ** 20)} MiB.`);
      return;
    }
    const item = document.createElement("li");
    const picture = document.createElement("img");
    picture.src = URL.createObjectURL(file);
    picture.alt = file.name || "pasted picture";
    item.className = "sending";
    item.append(picture);
    $("chosen").append(item);
    count();
    try {
      const name = encodeURIComponent(file.name || "pasted picture");
      const answer = await fetch(`/pictures?name=${name}`, { method: "POST", body: file });
      const told = await answer.json();
      if (!answer.ok) throw new Error(told.error);
      const key = document.createElement("input");
      key.type = "hidden";
      key.name = "p";
      key.value = told.key;
      const remove = document.createElement("button");
      remove.type = "button";
      remove.textContent = "×";
      remove.setAttribute("aria-label", `Remove ${told.name}`);
      remove.addEventListener("click", () => {
        chosen.delete(told.key);
        item.remove();
        count();
      });
      if (chosen.has(told.key)) item.remove();
      else item.append(key, remove);
      chosen.set(told.key, item);
      item.classList.remove("sending");
      const wanted = new URLSearchParams(location.search).getAll("p");
      if (asking.method === "get" && wanted.includes(told.key) && wanted.every((each) => chosen.has(each) || each.includes(":")))
        location.reload(); // the link that was asked for works again
    } catch (error) {
      item.remove();
      tell(`${file.name || "The picture"}: ${error.message || "could not be sent"}`);
    }
    count();
  }

  async function take(list) {
    tell("");
    const pictures = [...list].filter((file) => file.type.startsWith("image/"));
    if (list.length && !pictures.length) tell("That is no picture.");
    for (const file of pictures) await send(file);
  }

  drop.addEventListener("click", (event) => {
    if (event.target !== files) files.click();
  });
  drop.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      files.click();
    }
  });
  files.addEventListener("change", () => {
    take(files.files);
    files.value = "";
  });
  for (const kind of ["dragenter", "dragover"])
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  for (const kind of ["dragleave", "drop"])
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      if (kind === "drop" || !event.relatedTarget) drop.classList.remove("over");
    });
  document.addEventListener("drop", (event) => take(event.dataTransfer.files));
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files);
  });
  asking.addEventListener("submit", () => {
    $("ask").textContent = asking.dataset.busy;
    asking.classList.add("busy");
    waiting = setInterval(async () => {
      const others = (await (await fetch("/state")).json()).asking - 1;
      const many = others > 1 ? ` ${others} others are asking, too` : "";
      $("ask").textContent = asking.dataset.busy + many;
    }, 1500);
  });
  window.addEventListener("pageshow", () => {
    asking.classList.remove("busy");
    clearInterval(waiting);
    $("ask").textContent = said;
    count();
  });
}

// Opening -----------------------------------------------------------------------------------------
const opening = $("opening");
async function look() {
  const state = await (await fetch(opening.dataset.at || "/state")).json();
  if (state.ready) {
    if ("reload" in opening.dataset) location.reload();
    else opening.remove();
    return;
  }
  opening.firstChild.textContent = state.error || `${state.what} … `;
  const bar = opening.querySelector("progress");
  if (bar && state.total) {
    bar.max = state.total;
    bar.value = state.done;
  }
  if (!state.error) setTimeout(look, 700);
}
if (opening) look();

// A run that goes on ------------------------------------------------------------------------------
const stages = $("stages");
async function follow() {
  const run = await (await fetch(`/runs/${encodeURIComponent(stages.dataset.run)}/state`)).json();
  all(".stage", stages).forEach((each, i) => (each.className = `stage ${run.stages[i].state}`));
  $("last").textContent = run.last || "";
  if (run.state === "done") location.reload();
  else setTimeout(follow, 2000);
}
if (stages?.dataset.state === "running") follow();

// A request that is worked on ---------------------------------------------------------------------
const steps = $("steps");
async function watch() {
  const request = encodeURIComponent(steps.dataset.request);
  const now = await (await fetch(`/takedowns/${request}/state`)).json();
  if (now.state !== "running") return location.reload();
  const current = now.steps.findIndex((step) => step.state !== "done");
  all(".step", steps).forEach((each, i) => {
    each.className = `step ${i === current ? "running" : now.steps[i].state}`;
  });
  $("log").textContent = now.lines.join("\n");
  setTimeout(watch, 1500);
}
if (steps?.dataset.state === "running") watch();

// With and without --------------------------------------------------------------------------------
for (const figure of all("[data-compare]")) {
  const range = figure.querySelector("input");
  const cut = () => figure.style.setProperty("--cut", `${range.value}%`);
  range.addEventListener("input", cut);
  cut();
}
for (const button of all(".flicker"))
  button.addEventListener("click", () => {
    const pairs = button.closest("article").querySelector(".drawn");
    button.setAttribute("aria-pressed", String(pairs.classList.toggle("flickering")));
  });

// Kept images -------------------------------------------------------------------------------------
const place = document.querySelector(".name span")?.textContent || "";
const kept = () => JSON.parse(localStorage.getItem(`kept ${place}`) || "[]");
function keep(list) {
  localStorage.setItem(`kept ${place}`, JSON.stringify(list.slice(0, 500)));
  showKept();
}
function showKept() {
  const list = kept();
  const link = $("kept-link");
  if (!link) return; // the page that asks for the token
  link.hidden = !list.length;
  link.href = `/kept?${list.map((i) => `i=${i}`).join("&")}`;
  link.querySelector(".count").textContent = list.length;
  for (const button of all(".keep")) {
    const on = list.includes(Number(button.dataset.position));
    button.setAttribute("aria-pressed", String(on));
    button.textContent = button.textContent.replace(/[☆★]/u, on ? "★" : "☆");
  }
}
for (const button of all(".keep"))
  button.addEventListener("click", () => {
    const position = Number(button.dataset.position);
    const list = kept();
    keep(list.includes(position) ? list.filter((i) => i !== position) : [...list, position]);
  });
showKept();
$("keep-all")?.addEventListener("click", () => {
  const here = all(".keep").map((button) => Number(button.dataset.position));
  keep([...new Set([...kept(), ...here])]);
});
$("forget")?.addEventListener("click", () => {
  keep([]);
  location.assign("/browse");
});

// Taking along ------------------------------------------------------------------------------------
$("copy-link")?.addEventListener("click", async () => {
  await navigator.clipboard.writeText(location.href);
  $("copy-link").textContent = "Copied";
});
$("print")?.addEventListener("click", () => print());

// Keys: / to search, arrows to turn pages -----------------------------------------------------------
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, textarea, select, [role=button]")) return;
  const search = document.querySelector("input[name=q]") || $("prompt");
  if (event.key === "/" && search) {
    event.preventDefault();
    search.focus();
  }
  const to = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  if (to) document.querySelector(`a[rel=${to}]`)?.click();
});

// The token, behind the # of the address that the terminal shows: no browser sends that part ----------
const enter = $("enter");
if (enter) {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    history.replaceState(null, "", location.pathname + location.search);
    $("token").value = given;
    enter.submit();
  }
}
