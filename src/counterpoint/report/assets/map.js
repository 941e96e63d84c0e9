"use strict";
(() => {
  const holder = document.querySelector("[data-map]");
  if (!holder) return;
  const plot = holder.querySelector(".plot");
  const tip = document.querySelector(".tip");
  const items = JSON.parse(holder.querySelector("script.items").textContent);

  function part(tag, name, text) {
    const element = document.createElement(tag);
    element.className = name;
    element.dir = "auto";
    if (text) element.textContent = text;
    return element;
  }

  function fill(item) {
    tip.replaceChildren();
    if (item.picture) {
      const image = part("img", "picture");
      image.src = item.picture;
      image.alt = "";
      tip.append(image);
    }
    const words = part("div", "words");
    if (item.class) words.append(part("b", "class", item.class));
    if (item.text) words.append(part("p", "text", item.text));
    words.append(part("small", "name", item.name));
    tip.append(words);
  }

  function place(event) {
    const edge = 12;
    const { width, height } = tip.getBoundingClientRect();
    const across = event.clientX + edge + width > innerWidth ? event.clientX - width - edge
      : event.clientX + edge;
    const down = event.clientY + edge + height > innerHeight ? event.clientY - height - edge
      : event.clientY + edge;
    tip.style.left = `${Math.max(across, edge / 2)}px`;
    tip.style.top = `${Math.max(down, edge / 2)}px`;
  }

  function show(data) {
    const item = items[data.points[0].customdata];
    if (!item) return;
    fill(item);
    tip.hidden = false;
    place(data.event);
  }

  plot.on("plotly_hover", show);
  plot.on("plotly_click", show);
  plot.on("plotly_unhover", () => { tip.hidden = true; });
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  let chosen = null;
  const buttons = [...holder.querySelectorAll("[data-label]")];

  function highlight() {
    const clear = plot.data.map((trace) => (chosen === null || trace.meta === chosen ? 0.85 : 0.08));
    Plotly.restyle(plot, { "marker.opacity": clear });
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.label === chosen));
    }
  }

  for (const button of buttons) {
    button.addEventListener("click", () => {
      chosen = button.dataset.label === chosen ? null : button.dataset.label;
      highlight();
    });
  }
  document.querySelector("[data-theme-switch]").addEventListener("click", highlight);
})();
