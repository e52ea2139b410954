// The table: sorted by a column's button, filtered by name and by what stands out.

const body = document.querySelector("#scans tbody");
const heads = [...document.querySelectorAll("#scans thead th")];
const tiles = document.querySelector(".tiles");
const rows = [...body.rows].map((row, i) => ({ row, tile: tiles.children[i], name: row.cells[0].textContent.toLowerCase() }));
const names = new Intl.Collator("en", { numeric: true });

function keyOf(row, column) {
  const text = row.cells[column].dataset.sort;
  return text === undefined ? row.cells[column].textContent : text === "" ? null : Number(text);
}

function compare(a, b) {
  return typeof a === "number" ? a - b : names.compare(a, b);
}

function sortBy(column) {
  const descending = heads[column].getAttribute("aria-sort") === "ascending";
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
  rows.sort((one, other) => {
    const [a, b] = [keyOf(one.row, column), keyOf(other.row, column)];
    if (a === null || b === null) {
      return (a === null) - (b === null); // what was not measured stays at the end
    }
    return descending ? compare(b, a) : compare(a, b);
  });
  body.append(...rows.map((entry) => entry.row));
  tiles.append(...rows.map((entry) => entry.tile));
}

function filter() {
  const part = document.getElementById("find").value.trim().toLowerCase();
  const odd = document.getElementById("odd").checked;
  let count = 0;
  for (const { row, tile, name } of rows) {
    const wanted = name.includes(part) && (!odd || row.classList.contains("odd"));
    row.hidden = tile.hidden = !wanted;
    count += wanted;
  }
  document.getElementById("shown").textContent = `${count} of ${rows.length} shown`;
}

heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sortBy(column)));
document.getElementById("find").addEventListener("input", filter);
document.getElementById("odd").addEventListener("change", filter);
filter();
