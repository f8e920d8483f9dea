"use strict";
(() => {
  const json = (id) => JSON.parse(document.getElementById(id).textContent);
  const themes = json("themes");
  const root = document.documentElement;
  const plots = [...document.querySelectorAll(".plot")];
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };

  // A page opened from a file may not be allowed to remember anything.
  const remembered = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const remember = (name) => { try { localStorage.setItem("theme", name); } catch { /* not remembered */ } };

  const setTheme = (name) => {
    root.dataset.theme = name;
    for (const plot of plots) if (plot.data) Plotly.relayout(plot, { template: themes[name] });
  };
  root.dataset.theme = remembered() ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.getElementById("theme").addEventListener("click", () => {
    const name = root.dataset.theme === "dark" ? "light" : "dark";
    setTheme(name);
    remember(name);
  });

  const draw = (plot) => {
    const name = plot.id.replace(/^plot-/, "");
    const { data, layout } = json(`figure-${name}`);
    layout.template = themes[root.dataset.theme];
    return Plotly.newPlot(plot, data, layout, config).then(() => {
      const select = document.querySelector(`select[data-for="${name}"]`);
      if (select) colour(select, plot, json(`data-${name}`).colours);
    });
  };

  const colour = (select, plot, choices) => {
    const legend = select.closest(".colours").querySelector(".legend");
    const show = () => {
      const choice = choices[select.selectedIndex];
      Plotly.restyle(plot, { "line.color": choice.colours }, choice.colours.map((_, i) => i));
      legend.replaceChildren(...choice.legend.map(([swatch, text]) => {
        const entry = document.createElement("span");
        entry.style.setProperty("--swatch", swatch);
        entry.textContent = text;
        return entry;
      }));
    };
    select.addEventListener("change", show);
    show();
  };

  const value = (cell) => cell.dataset.value !== undefined ? Number(cell.dataset.value) : cell.textContent;
  const compare = (a, b) => {
    if (typeof a === typeof b && typeof a === "number") return (isNaN(a) - isNaN(b)) || a - b;
    return typeof a === "number" ? -1 : typeof b === "number" ? 1 : a.localeCompare(b);
  };

  const interactive = (block) => {
    const headings = [...block.querySelectorAll("th")];
    const body = block.querySelector("tbody");
    const rows = [...body.rows];
    headings.forEach((heading, column) => heading.addEventListener("click", () => {
      const sign = heading.getAttribute("aria-sort") === "descending" ? 1 : -1;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const empty = (row) => row.cells[column].textContent === "";
      rows.sort((a, b) => (empty(a) - empty(b)) || sign * compare(value(a.cells[column]), value(b.cells[column])));
      body.append(...rows);
    }));
    const names = headings.map((heading) => heading.textContent.trim().toLowerCase());
    const test = (word) => {
      const found = /^(.+?)(<=|>=|<|>|=)(.*)$/.exec(word);
      const column = found ? names.indexOf(found[1]) : -1;
      if (column < 0) return (row) => row.textContent.toLowerCase().includes(word);
      const [, , sign, text] = found;
      const number = Number(text);
      return (row) => {
        const cell = row.cells[column];
        if (sign === "=") return cell.textContent.trim().toLowerCase() === text || (text !== "" && value(cell) === number);
        if (cell.dataset.value === undefined) return false;
        const v = Number(cell.dataset.value);
        return sign === "<" ? v < number : sign === ">" ? v > number : sign === "<=" ? v <= number : v >= number;
      };
    };
    const count = block.querySelector(".count");
    block.querySelector("input").addEventListener("input", (event) => {
      const tests = event.target.value.toLowerCase().split(/\s+/).filter(Boolean).map(test);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !tests.every((passes) => passes(row));
        shown += !row.hidden;
      }
      count.textContent = shown;
    });
  };

  document.querySelectorAll(".interactive").forEach(interactive);
  // One after the other, the first ones first: the page can be read while the rest is drawn.
  plots.reduce((before, plot) => before.then(() => new Promise(requestAnimationFrame)).then(() => draw(plot)), Promise.resolve())
    .then(() => { root.dataset.drawn = "yes"; });
})();
