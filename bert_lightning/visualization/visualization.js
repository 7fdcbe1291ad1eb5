(() => {
  // A token under the pointer, or with the focus, says what its title says.
  const attend = (element, say, leave) => {
    for (const name of ["pointerenter", "focus"]) element.addEventListener(name, say);
    for (const name of ["pointerleave", "blur"]) element.addEventListener(name, leave);
  };
  for (const reader of document.querySelectorAll(".reader")) {
    const reading = reader.querySelector(".reading");
    const words = reading.textContent;
    for (const token of reader.querySelectorAll(".token")) {
      const title = token.title;
      token.removeAttribute("title");
      token.setAttribute("aria-label", title);
      attend(token, () => { reading.textContent = title; }, () => { reading.textContent = words; });
    }
  }

  // The opacities of an image are the square roots of its weights.
  const weightsOf = async (image, n) => {
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = n;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0, n, n);
    const { data } = context.getImageData(0, 0, n, n);
    return (row, column) => (data[4 * (row * n + column) + 3] / 255) ** 2;
  };

  const exhibit = (view) => {
    const n = Number(view.dataset.tokens);
    const large = view.querySelector(".large");
    const image = large.querySelector("img");
    const matrix = large.querySelector(".matrix");
    const which = large.querySelector(".which");
    const reading = view.querySelector(".reading");
    const words = reading.textContent;
    const rows = [...large.querySelectorAll(".names span")];
    const columns = [...large.querySelectorAll(".columns span")];
    const name = (index) => `“${rows[index].textContent}”`;
    const band = document.createElement("i");
    let weight = () => 0;
    weightsOf(image, n).then((found) => { weight = found; });

    const clear = () => {
      band.remove();
      reading.textContent = words;
      for (const each of [...rows, ...columns]) { each.style.removeProperty("--d"); each.classList.remove("on"); }
    };
    const frame = (row, column, height, width) => {
      const cell = matrix.clientWidth / n;
      Object.assign(band.style, {
        top: `${row * cell}px`, left: `${column * cell}px`, height: `${height * cell}px`, width: `${width * cell}px`,
      });
      matrix.append(band);
    };
    const likeliest = (values) =>
      values.map((value, index) => [value, index]).sort((a, b) => b[0] - a[0]).slice(0, 4)
        .map(([value, index]) => `${name(index)} ${value.toFixed(2)}`).join(", ");
    const showRow = (row) => {
      clear();
      const values = columns.map((_, column) => weight(row, column));
      columns.forEach((each, column) => each.style.setProperty("--d", values[column]));
      rows[row].classList.add("on");
      frame(row, 0, 1, n);
      reading.textContent = `${name(row)} attends to ${likeliest(values)}`;
    };
    const showColumn = (column) => {
      clear();
      const values = rows.map((_, row) => weight(row, column));
      rows.forEach((each, row) => each.style.setProperty("--d", values[row]));
      columns[column].classList.add("on");
      frame(0, column, n, 1);
      reading.textContent = `${name(column)} is attended to by ${likeliest(values)}`;
    };
    rows.forEach((each, row) => attend(each, () => showRow(row), clear));
    columns.forEach((each, column) => attend(each, () => showColumn(column), clear));
    matrix.addEventListener("pointermove", (event) => {
      const box = matrix.getBoundingClientRect();
      const place = (part, whole) => Math.min(Math.max(Math.floor((part / whole) * n), 0), n - 1);
      const row = place(event.clientY - box.top, box.height);
      const column = place(event.clientX - box.left, box.width);
      showRow(row);
      columns[column].classList.add("on");
      reading.textContent = `${name(row)} attends to ${name(column)} with weight ${weight(row, column).toFixed(2)}`;
    });
    matrix.addEventListener("pointerleave", clear);

    for (const input of view.querySelectorAll(".heads input")) {
      input.addEventListener("change", () => {
        const small = input.parentElement.querySelector("img");
        image.src = small.src;
        which.textContent = small.dataset.label;
        clear();
        weightsOf(image, n).then((found) => { weight = found; });
      });
    }
  };
  for (const view of document.querySelectorAll(".attention")) exhibit(view);

  // The point that is next to the pointer says what its title says.
  for (const scatter of document.querySelectorAll(".scatter")) {
    const box = scatter.querySelector(".box");
    const reading = scatter.querySelector(".reading");
    const words = reading.textContent;
    const points = [...box.querySelectorAll("use")].map((use) => ({
      use, x: parseFloat(use.getAttribute("x")) / 100, y: parseFloat(use.getAttribute("y")) / 100,
      title: use.querySelector("title").textContent,
    }));
    for (const point of points) point.use.querySelector("title").remove();
    const ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    ring.setAttribute("r", "7");
    const leave = () => { ring.remove(); reading.textContent = words; };
    box.addEventListener("pointermove", (event) => {
      const edges = box.getBoundingClientRect();
      const [x, y] = [event.clientX - edges.left, event.clientY - edges.top];
      let best = null;
      let nearest = 24 ** 2;
      for (const point of points) {
        const distance = (point.x * edges.width - x) ** 2 + (point.y * edges.height - y) ** 2;
        if (distance < nearest && point.use.getClientRects().length) [best, nearest] = [point, distance];
      }
      if (!best) { leave(); return; }
      ring.setAttribute("cx", `${best.x * 100}%`);
      ring.setAttribute("cy", `${best.y * 100}%`);
      box.querySelector("svg").append(ring);
      reading.textContent = best.title;
    });
    box.addEventListener("pointerleave", leave);
  }
})();
