'use strict';
// Shared by the page of recordings and that of a comparison.
const page = (() => {
  const make = (tag, properties = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in node) node[name] = value;
      else node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  };
  const theme = () => document.documentElement.dataset.theme;

  function setTheme(name) {
    document.documentElement.dataset.theme = name;
    document.getElementById('theme').textContent = name === 'dark' ? 'Light' : 'Dark';
  }

  // render: makes the page anew; drawPlots: fits plots to a new width; step: by so many frames.
  function start({ render, drawPlots, step, footer }) {
    document.getElementById('theme').addEventListener('click', () => {
      setTheme(theme() === 'dark' ? 'light' : 'dark');
      render();
    });
    document.addEventListener('keydown', (event) => {
      if (['INPUT', 'SELECT'].includes(event.target.tagName)) return;
      if (event.key === 'ArrowLeft') step(-1);
      else if (event.key === 'ArrowRight') step(1);
    });
    let waiting = 0;
    let width = window.innerWidth;
    window.addEventListener('resize', () => {
      if (window.innerWidth === width) return;
      width = window.innerWidth;
      clearTimeout(waiting);
      waiting = setTimeout(drawPlots, 150);
    });
    setTheme(window.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
    document.getElementById('footer').textContent = footer;
    render();
  }

  const data = JSON.parse(document.getElementById('data').textContent);
  const columns = Object.fromEntries(data.columns.map((column) => [column.key, column]));
  return { data, columns, make, theme, start };
})();
