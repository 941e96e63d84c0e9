"use strict";
(() => {
  const root = document.documentElement;

  function resolved(value, css) {
    if (Array.isArray(value)) return value.map((item) => resolved(item, css));
    if (value === null || typeof value !== "object") return value;
    const copy = {};
    for (const [key, item] of Object.entries(value)) copy[key] = paint(key, item, css);
    return copy;
  }

  function paint(key, item, css) {
    if (!/color/i.test(key)) return resolved(item, css);
    if (Array.isArray(item)) return item.map((one) => paint(key, one, css));
    if (typeof item === "string" && item.startsWith("--")) return css.getPropertyValue(item).trim();
    return resolved(item, css);
  }

  function merged(base, more) {
    const out = { ...base };
    for (const [key, value] of Object.entries(more || {})) {
      const plain = value && typeof value === "object" && !Array.isArray(value);
      out[key] = plain ? merged(base[key] || {}, value) : value;
    }
    return out;
  }

  function common() {
    const axis = {
      color: "--muted", gridcolor: "--grid", linecolor: "--line", zeroline: false,
      automargin: true, title: { standoff: 12, font: { size: 12 } }, tickfont: { size: 12 },
    };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: "--ink" },
      margin: { l: 56, r: 16, t: 16, b: 40 }, dragmode: false, hovermode: "closest",
      xaxis: { ...axis }, yaxis: { ...axis },
      hoverlabel: { bgcolor: "--card", bordercolor: "--line", align: "left",
        font: { size: 13, color: "--ink" } },
      legend: { font: { size: 12 } },
    };
  }

  const charts = [...document.querySelectorAll("script.figure")].map((script) => ({
    holder: script.previousElementSibling, figure: JSON.parse(script.textContent),
  }));

  function draw() {
    const css = getComputedStyle(root);
    for (const { holder, figure } of charts) {
      const layout = resolved(merged(common(), figure.layout), css);
      if (root.classList.contains("printing")) layout.width = holder.clientWidth;
      layout.height = holder.clientHeight;
      if (touch.matches) layout.dragmode = false;
      Plotly.react(holder, resolved(figure.data, css), layout,
        { responsive: true, displayModeBar: false });
    }
  }

  const touch = matchMedia("(pointer: coarse)");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;

  function theme(name) {
    root.dataset.theme = name;
    draw();
  }

  const current = () => chosen || (dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => theme(current()));
  document.querySelector("[data-theme-switch]").addEventListener("click", () => {
    chosen = current() === "dark" ? "light" : "dark";
    theme(chosen);
  });
  function printing(now) {
    root.classList.toggle("printing", now);
    theme(now ? "light" : current());
  }

  addEventListener("beforeprint", () => printing(true));
  addEventListener("afterprint", () => printing(false));
  theme(current());
})();
