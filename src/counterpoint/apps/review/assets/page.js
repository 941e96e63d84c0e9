"use strict";
(() => {
  const PAGE = 50;
  const SMALL = 128;
  const SHOWN_LABELS = 50;
  const KEPT = 100;
  const at = (id) => document.getElementById(id);
  const form = at("filters");
  const state = { about: null, items: [], index: -1, row: null, counts: null, waiting: 0, turn: Promise.resolve(), matches: [], match: 0, chosen: new Set() };

  /* Every text of the corpus goes through here: as text, control characters made visible. */
  function plain(text) {
    return text.replace(/\r\n?/g, "\n").replace(/[\u0000-\u0008\u000b-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
      .replace(/\u007f/g, "\u2421");
  }

  function element(tag, options = {}, ...children) {
    const made = document.createElement(tag);
    const { text, ...rest } = options;
    if (text !== undefined) made.textContent = plain(String(text));
    for (const [name, value] of Object.entries(rest)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.01 ? 1 : 0)} %`;
  const counted = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

  /* A row carries one label, or a list of them. */
  const each = (label) => Array.isArray(label) ? label : [label];
  const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const words = (label) => each(label).join(", ") || "no label";

  /* The classes that a suggestion takes away and gives. */
  function difference({ label, suggested }) {
    const given = new Set(each(label));
    const better = new Set(each(suggested));
    return { taken: new Set([...given].filter((name) => !better.has(name))), added: new Set([...better].filter((name) => !given.has(name))) };
  }

  function change(item) {
    if (equal(item.label, item.suggested)) return words(item.label);
    if (!state.about.several) return `${item.label} → ${item.suggested}`;
    const { taken, added } = difference(item);
    return [...[...added].map((name) => `+ ${name}`), ...[...taken].map((name) => `− ${name}`)].join(", ");
  }

  function say(text) {
    at("said").textContent = plain(text);
  }

  function complain(text) {
    at("notice").textContent = plain(text);
    at("notice").hidden = !text;
  }

  async function ask(path, body) {
    const options = body === undefined ? {} : {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
    };
    let answer;
    try {
      answer = await fetch(path, options);
    } catch {
      throw new Error("The review is stopped. Start `counterpoint review` again and open its new address; no decision is lost.");
    }
    if (answer.status === 403) throw new Error("This address is no longer valid. Open the one that `counterpoint review` printed last.");
    const said = await answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
    if (answer.ok) return said;
    throw Object.assign(new Error(said.error), { status: answer.status });
  }

  /* Runs one thing after the other. */
  function inTurn(work) {
    state.waiting += 1;
    state.turn = state.turn.then(async () => {
      at("main").setAttribute("aria-busy", "true");
      try {
        await work();
        complain("");
      } catch (error) {
        complain(error.message);
      }
      state.waiting -= 1;
      at("main").setAttribute("aria-busy", String(state.waiting > 0));
    });
  }

  /* A key pressed while something is under way would decide on a row that nobody has seen. */
  function ifIdle(work) {
    if (state.waiting === 0) inTurn(work);
  }

  function filters() {
    const asked = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      const share = name === "least" || name === "most";
      if (value !== "") asked.set(name, share ? String(Number(value) / 100) : value);
    }
    return asked;
  }

  function keepFilters() {
    const chosen = new URLSearchParams();
    for (const field of form.elements) {
      if (!field.name) continue;
      const usual = field.tagName === "SELECT" ? field.options[0].value : field.defaultValue;
      field.classList.toggle("on", field.value !== usual);
      if (field.value !== usual) chosen.set(field.name, field.value);
    }
    history.replaceState(null, "", `#${chosen}`);
  }

  function readFilters() {
    for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
      const field = form.elements.namedItem(name);
      if (field) field.value = value;
      if (field && field.value !== value) form.reset();
    }
  }

  async function load(after = -1) {
    const asked = filters();
    asked.set("after", after);
    asked.set("limit", PAGE);
    const found = await ask(`api/queue?${asked}`);
    if (after < 0) state.items = [];
    const there = new Set(state.items.map((item) => item.row));
    state.items.push(...found.filter((item) => !there.has(item.row)));
    at("more").hidden = found.length < PAGE;
    return found.length;
  }

  async function count() {
    const asked = filters();
    asked.delete("status");
    state.counts = await ask(`api/progress?${asked}`);
    const { total, accept, keep, other, skip } = state.counts;
    const done = accept + keep + other;
    at("meter").max = Math.max(total, 1);
    at("meter").value = done;
    at("counts").textContent = `${done.toLocaleString("en")} of ${total.toLocaleString("en")} decided` + (skip ? ` · ${skip} skipped` : "");
  }

  function drawQueue() {
    const entries = state.items.map((item, index) => {
      const decided = item.action && item.action !== "skip";
      const said = decided ? `✓ ${words(item.after)}` : `${item.action ? "skipped · " : ""}${change(item)}`;
      const button = element("button", { type: "button" },
        element("bdi", { class: "words", text: item.title || "(empty)" }),
        element("bdi", { class: "change", text: said }));
      if (index === state.index) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => inTurn(() => show(index)));
      return element("li", item.action ? { class: "done" } : {}, button);
    });
    at("queue").replaceChildren(...entries);
    at("queue").children[state.index]?.scrollIntoView({ block: "nearest" });
  }

  function drawContent(row) {
    const content = at("content");
    at("whole").hidden = true;
    if (state.about.kind === "images") {
      content.replaceChildren(picture(row.row, "picture", row.text));
      return;
    }
    const text = element("p", { class: "text", dir: "auto", tabindex: "0", "aria-label": "Text", text: row.text });
    content.replaceChildren(text);
    if (row.size > [...row.text].length) {
      at("whole").hidden = false;
      at("whole").textContent = `Show all ${row.size.toLocaleString("en")} characters`;
    }
  }

  function picture(row, style, name) {
    const image = element("img", { class: style, alt: plain(name || `row ${row}`), src: `api/rows/${row}/picture` });
    image.addEventListener("load", () => image.classList.toggle("small", image.naturalHeight <= SMALL));
    image.addEventListener("error", () => image.replaceWith(element("p", { class: "missing", text: `The picture cannot be shown: ${name}` })));
    return image;
  }

  /* Its classes one by one; those that the suggestion takes away or gives stand out. */
  function named(label, row) {
    const { taken, added } = difference(row);
    const same = taken.size + added.size === 0;
    const side = (name) => taken.has(name) || (same && !state.about.several && each(row.label).includes(name)) ? "given" : added.has(name) ? "better" : "";
    if (!each(label).length) return [element("span", { class: "none", text: "no label" })];
    return each(label).map((name) => element("bdi", { class: `one ${side(name)}`, text: name }));
  }

  function neighbour(near, row) {
    const label = near.decided ?? near.label;
    const labels = element("span", { class: "label" }, ...named(label, row),
      element("small", { text: near.decided ? `row ${near.row}, decided by you` : `row ${near.row}` }));
    const shown = state.about.kind === "images" ? picture(near.row, "", near.title)
      : element("p", { class: "text", dir: "auto", text: near.text });
    return element("li", {}, labels, shown);
  }

  function standing(decision) {
    at("standing").hidden = !decision;
    if (!decision) return;
    const what = decision.action === "skip" ? "Skipped" : decision.action === "keep" ? `Kept “${words(decision.after)}”` : `Decided: “${words(decision.after)}”`;
    at("standing").textContent = plain(`${what}, ${new Date(decision.made).toLocaleString()}. Deciding again replaces it.`);
  }

  function drawRow(row) {
    at("empty").hidden = true;
    at("item").hidden = false;
    at("title").textContent = `row ${row.row}`;
    at("fields").textContent = plain(Object.entries(row.fields).map(([name, value]) => `· ${name}: \u2068${value}\u2069`).join(" "));
    drawContent(row);
    const same = equal(row.label, row.suggested);
    const sure = (share) => `${percent(share)} likely to be right${state.about.several ? ", where least sure" : ""}`;
    at("given").replaceChildren(...named(row.label, row));
    at("credibility").textContent = sure(row.credibility);
    at("suggested").replaceChildren(...same ? ["none"] : named(row.suggested, row));
    at("confidence").textContent = same ? "" : sure(row.confidence);
    at("item").querySelector("[data-action=accept]").disabled = same;
    at("reason").textContent = plain(row.reason);
    standing(row.decision);
    at("near").replaceChildren(...row.neighbours.map((near) => neighbour(near, row)));
  }

  function drawEmpty() {
    state.row = null;
    state.index = -1;
    const { total, skip } = state.counts;
    const status = form.elements.namedItem("status").value;
    at("item").hidden = true;
    at("empty").hidden = false;
    at("empty-title").textContent = total === 0 ? "No row fits these filters" : status === "open" ? "Everything here is decided" : `No ${status} rows`;
    at("empty-hint").textContent = total === 0 || status !== "open" ? "Clear the filters to see the others."
      : `${skip ? `${counted(skip, "row")} skipped: set State to skipped to see them again. ` : ""}Export the decisions or the corrected data above, or re-rank to look for more.`;
    drawQueue();
  }

  async function show(index) {
    if (index < 0 || index >= state.items.length) return;
    const row = await ask(`api/rows/${state.items[index].row}`);
    state.index = index;
    state.row = row;
    forget();
    drawRow(row);
    drawQueue();
    scrollTo({ top: 0 });
  }

  const isOpen = (item) => !item.action;

  async function next() {
    const open = form.elements.namedItem("status").value === "open";
    const fits = (item, index) => index > state.index && (!open || isOpen(item));
    let index = state.items.findIndex(fits);
    if (index < 0 && !at("more").hidden) {
      await load(state.items.at(-1)?.rank ?? -1);
      index = state.items.findIndex(fits);
    }
    if (index < 0 && open) index = state.items.findIndex(isOpen);
    if (index >= 0) await show(index);
    else if (open) drawEmpty();
  }

  /* The first rows that fit the filters; at the row shown, if it is still among them. */
  async function begin() {
    const row = state.row?.row;
    state.index = -1;
    keepFilters();
    await Promise.all([load(), count()]);
    const index = state.items.findIndex((item) => item.row === row);
    if (state.items.length) await show(Math.max(index, 0));
    else drawEmpty();
  }

  function restart() {
    state.row = null;
    return begin();
  }

  /* Forgets what lies far behind, so that the list stays short however long one goes on. */
  function forget() {
    const behind = state.index - KEPT;
    if (behind < KEPT) return;
    state.items.splice(0, behind);
    state.index -= behind;
  }

  async function decide(action, after) {
    const { row } = state;
    if (!row) return;
    if (action === "accept") after = row.suggested;
    const item = state.items[state.index];
    let said;
    try {
      said = await ask("api/decide", { row: row.row, action, after: after ?? null, seen: row.decision?.id ?? null });
    } catch (error) {
      if (error.status === 409) await show(state.index);
      throw error;
    }
    Object.assign(item, { action: said.action, after: said.after });
    await count();
    await next();
    if (state.row?.row === row.row) await show(state.index);
    say(action === "skip" ? `Skipped row ${row.row}.` : `Row ${row.row}: “${words(said.after)}”${action === "keep" ? " kept" : ""}. ${at("counts").textContent}.`);
  }

  async function undo() {
    const { row } = await ask("api/undo", {});
    if (row === null) {
      say("There is nothing to undo.");
      return;
    }
    const found = await ask(`api/rows/${row}`);
    let index = state.items.findIndex((item) => item.row === row);
    if (index < 0) {
      index = state.items.findIndex((item) => item.rank > found.rank);
      if (index < 0) index = state.items.length;
      state.items.splice(index, 0, { ...found, title: found.text.slice(0, 160) });
    }
    Object.assign(state.items[index], { action: found.decision?.action ?? null, after: found.decision?.after });
    await count();
    await show(index);
    say(`Took back your decision on row ${row}.`);
  }

  async function rerank() {
    say("Re-ranking …");
    const found = await ask("api/rerank", {});
    state.about = await ask("api/about");
    drawChoices();
    await restart();
    say(`Learnt from ${counted(found.anchors, "decision")}: ${counted(found.added, "new suggestion")}, ${found.changed} changed.`);
  }

  function ordered(query) {
    const wanted = query.trim().toLowerCase();
    const place = ({ name }) => {
      const lower = name.toLowerCase();
      return lower === wanted ? 0 : lower.startsWith(wanted) ? 1 : lower.includes(wanted) ? 2 : 3;
    };
    const near = new Map();
    for (const { label, decided } of state.row.neighbours) {
      for (const name of each(decided ?? label)) near.set(name, (near.get(name) ?? 0) + 1);
    }
    const { taken, added } = difference(state.row);
    const rank = (name) => !state.about.several ? 0 : added.has(name) || taken.has(name) ? 2 : each(state.row.label).includes(name) ? 1 : 0;
    return state.about.classes.map((one) => ({ ...one, place: place(one), near: near.get(one.name) ?? 0 }))
      .filter((one) => one.place < 3)
      .sort((a, b) => a.place - b.place || rank(b.name) - rank(a.name) || b.near - a.near || b.given + b.suggested - a.given - a.suggested)
      .slice(0, SHOWN_LABELS);
  }

  function drawMatches() {
    state.matches = ordered(at("search").value);
    state.match = 0;
    const { label, suggested } = state.row;
    at("matches").replaceChildren(...state.matches.map(({ name }, index) => {
      const role = each(label).includes(name) ? "given" : each(suggested).includes(name) ? "suggested" : "";
      const entry = element("li", { role: "option", id: `match-${index}` }, element("bdi", { text: name }), element("small", { text: role }));
      if (state.about.several) entry.setAttribute("aria-checked", String(state.chosen.has(name)));
      entry.addEventListener("click", () => choose(index));
      return entry;
    }));
    if (!state.matches.length) at("matches").append(element("li", { text: "No label has this in it." }));
    markMatch();
  }

  function markMatch() {
    for (const [index, entry] of [...at("matches").children].entries()) {
      entry.setAttribute("aria-selected", String(index === state.match && state.matches.length > 0));
    }
    at("search").setAttribute("aria-activedescendant", state.matches.length ? `match-${state.match}` : "");
    at("matches").children[state.match]?.scrollIntoView({ block: "nearest" });
  }

  function choose(index) {
    const found = state.matches[index];
    if (!found) return;
    if (state.about.several) toggle(index);
    else conclude(found.name);
  }

  function toggle(index) {
    const { name } = state.matches[index];
    if (!state.chosen.delete(name)) state.chosen.add(name);
    drawChosen();
    if (at("search").value) {
      at("search").value = "";
      drawMatches();
      return;
    }
    at("matches").children[index].setAttribute("aria-checked", String(state.chosen.has(name)));
    state.match = index;
    markMatch();
  }

  function drawChosen() {
    at("chosen").replaceChildren(...named(chosen(), state.row));
  }

  /* In the order of the classes, as every list of them. */
  function chosen() {
    return state.about.classes.map(({ name }) => name).filter((name) => state.chosen.has(name));
  }

  function conclude(after) {
    at("other").close();
    const { label, suggested } = state.row;
    const action = equal(after, label) ? "keep" : equal(after, suggested) ? "accept" : "other";
    ifIdle(() => decide(action, after));
  }

  function openOther() {
    if (!state.row) return;
    at("search").value = "";
    state.chosen = new Set(each(state.row.suggested));
    drawChosen();
    drawMatches();
    at("other").showModal();
  }

  at("search").addEventListener("input", drawMatches);
  at("search").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && state.matches.length) {
      state.match = (state.match + step + state.matches.length) % state.matches.length;
      markMatch();
    } else if (event.key === "Enter" && !event.isComposing) {
      if (state.about.several && (event.ctrlKey || event.metaKey)) conclude(chosen());
      else choose(state.match);
    }
    else return;
    event.preventDefault();
  });

  function drawChoices() {
    const counts = (name) => state.about.classes.filter((one) => one[name] > 0).map((one) => [one.name, `${one.name} (${one[name]})`]);
    const choices = {
      given: counts("given"),
      suggested: counts("suggested"),
      kind: Object.entries(state.about.kinds).map(([kind, { words, count }]) => [kind, `${words} (${count})`]),
    };
    for (const [name, values] of Object.entries(choices)) {
      const field = form.elements.namedItem(name);
      const chosen = field.value;
      field.replaceChildren(field.options[0], ...values.map(([value, text]) => element("option", { value, text })));
      field.value = values.some(([value]) => value === chosen) ? chosen : "";
    }
  }

  const actions = {
    accept: () => state.row && !equal(state.row.label, state.row.suggested) && ifIdle(() => decide("accept")),
    keep: () => ifIdle(() => decide("keep")),
    other: openOther,
    skip: () => ifIdle(() => decide("skip")),
    undo: () => inTurn(undo),
  };
  const keys = {
    a: actions.accept, k: actions.keep, o: actions.other, s: actions.skip, u: actions.undo,
    n: () => inTurn(next), ArrowRight: () => inTurn(next),
    p: () => inTurn(() => show(state.index - 1)), ArrowLeft: () => inTurn(() => show(state.index - 1)),
    f: () => form.elements.namedItem("scope").focus(),
    r: () => !state.about.several && inTurn(rerank),
    "?": () => at("help").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    /* A dialog that has just closed may still hold the focus. */
    const writing = event.target.closest("input, select, textarea") && !event.target.closest("dialog:not([open])");
    if (event.key === "Escape" && event.target.closest("form.filters")) event.target.blur();
    if (writing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    action();
  });
  for (const button of document.querySelectorAll("[data-action]")) {
    button.addEventListener("click", actions[button.dataset.action]);
  }
  at("decide").addEventListener("click", () => conclude(chosen()));
  at("rerank").addEventListener("click", keys.r);
  at("help-button").addEventListener("click", keys["?"]);
  at("more").addEventListener("click", () => inTurn(async () => {
    await load(state.items.at(-1)?.rank ?? -1);
    drawQueue();
  }));
  at("whole").addEventListener("click", () => inTurn(async () => {
    const { text } = await ask(`api/rows/${state.row.row}/text`);
    at("content").firstChild.textContent = plain(text);
    at("whole").hidden = true;
  }));
  form.addEventListener("change", () => inTurn(restart));
  form.addEventListener("reset", () => setTimeout(() => inTurn(restart)));
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", (event) => {
    const menu = document.querySelector(".menu[open]");
    if (menu && (!menu.contains(event.target) || event.target.closest("a"))) menu.open = false;
  });
  /* Another tab may have gone on meanwhile. */
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && state.about && !document.querySelector("dialog[open]")) inTurn(begin);
  });

  inTurn(async () => {
    state.about = await ask("api/about");
    at("name").textContent = plain(state.about.name);
    at("reviewer").textContent = plain(state.about.reviewer);
    document.body.classList.toggle("several", state.about.several);
    at("matches").setAttribute("aria-multiselectable", String(state.about.several));
    document.title = plain(`${state.about.name} · review`);
    drawChoices();
    readFilters();
    await begin();
  });
})();
