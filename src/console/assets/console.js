// The console works without this: it keeps open pages fresh, sends each form once, and helps with long lists.
"use strict";

// --- fresh pages: what is marked data-live is asked for again when something changed --------------------------------
const live = () => [...document.querySelectorAll("[data-live]")];

function busy() {
  const active = document.activeElement;
  const inside = active && active.closest("[data-live]") && active.matches("input, select, textarea");
  return document.hidden || inside || document.querySelector("[data-pick]:checked, [data-live] details[open]");
}

let wanted = false;
async function refresh() {
  if (busy()) { wanted = true; return; }
  wanted = false;
  const response = await fetch(location.href, { credentials: "same-origin", redirect: "manual", headers: { "crossdock-watching": "1" } });
  // Whose session has ended keeps what they were typing; the next page asks them to sign in.
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const old of live()) {
    const now = fresh.querySelector(`[data-live="${old.dataset.live}"]`);
    if (!now || now.innerHTML.replace(/value="[0-9a-f-]{36}"/g, "") === old.innerHTML.replace(/value="[0-9a-f-]{36}"/g, "")) continue;
    const focused = document.activeElement && old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    old.replaceChildren(...[...now.childNodes].map((node) => document.adoptNode(node)));
    old.classList.remove("fresh");
    void old.offsetWidth;
    old.classList.add("fresh");
    if (focused) old.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
  }
}

if (live().length && "EventSource" in window) {
  const source = new EventSource("/console/live");
  let timer = 0;
  source.addEventListener("changed", () => {
    clearTimeout(timer);
    timer = setTimeout(() => refresh().catch(() => {}), 150);
  });
  addEventListener("pagehide", () => source.close());
  addEventListener("visibilitychange", () => { if (wanted && !document.hidden) refresh().catch(() => {}); });
}

// --- how long something can still be taken back ---------------------------------------------------------------------
// The page says it in words; with a script the seconds run, and what comes after is asked for when they are over.
setInterval(() => {
  for (const element of document.querySelectorAll("[data-until]")) {
    const left = Math.ceil((Date.parse(element.dataset.until) - Date.now()) / 1000);
    if (left > 0) element.textContent = left > 120 ? `in ${Math.round(left / 60)} min` : `in ${left} s`;
    else if (!element.dataset.over) { element.dataset.over = "yes"; element.textContent = "now"; }
  }
}, 1000);

// --- each form once ---------------------------------------------------------------------------------------------
addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
  setTimeout(() => form.querySelectorAll("button").forEach((button) => { button.disabled = true; }), 0);
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => {
  delete form.dataset.sent;
  form.querySelectorAll("button").forEach((button) => { button.disabled = false; });
}));

// --- a template in other words: what it would send, while it is typed ------------------------------------------------
const typed = new WeakMap();
async function tryOut(form) {
  const last = typed.get(form);
  last?.abort();
  const abort = new AbortController();
  typed.set(form, abort);
  const response = await fetch(form.action, {
    method: "POST", credentials: "same-origin", redirect: "manual", signal: abort.signal, body: new URLSearchParams(new FormData(form)),
  });
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const result = page.querySelector("[data-result]");
  if (result) form.querySelector("[data-shown]").replaceChildren(...[...result.childNodes].map((node) => document.adoptNode(node)));
}
const waits = new WeakMap();
addEventListener("input", (event) => {
  const form = event.target.closest("form[data-try]");
  if (!form) return;
  clearTimeout(waits.get(form));
  waits.set(form, setTimeout(() => tryOut(form).catch(() => {}), 400));
});
// The order that is chosen above counts for every template below.
addEventListener("change", (event) => {
  if (!event.target.matches("#order, #sample")) return;
  document.querySelectorAll(`form[data-try] [name="${event.target.name}"]`).forEach((field) => { field.value = event.target.value; });
});

// --- choosing some of a list --------------------------------------------------------------------------------------
addEventListener("change", (event) => {
  if (!event.target.matches("[data-pick]")) return;
  const picked = [...document.querySelectorAll("[data-pick]:checked")].map((box) => box.value);
  const field = document.querySelector("[data-picked]");
  const count = document.querySelector("[data-count]");
  if (field) field.value = picked.join("\n");
  if (count) {
    count.dataset.all ??= count.textContent;
    count.textContent = picked.length ? `the ${picked.length} chosen` : count.dataset.all;
    document.getElementById("said").textContent = `${picked.length} chosen`;
  }
});

// --- keys: / to search, g then a letter to go, ? tells ---------------------------------------------------------------
const rooms = { o: "/console", r: "/console/orders", e: "/console/exceptions", d: "/console/deliveries", t: "/console/destinations", m: "/console/mappings" };
let going = false;
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (event.key === "/") { event.preventDefault(); document.getElementById("q")?.focus(); return; }
  if (event.key === "g") { going = true; setTimeout(() => { going = false; }, 1200); return; }
  if (going && rooms[event.key]) { going = false; location.assign(rooms[event.key]); }
});
