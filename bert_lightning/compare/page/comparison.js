(() => {
  // Under the pointer, a plot's axis shows the place, and the labels show the arms' values there.
  const places = (path) => path.getAttribute("d").slice(1).split(" ").map(Number);
  const at = (points, x) => {
    for (let i = 2; i < points.length; i += 2) {
      if (points[i] >= x && points[i - 2] <= x) {
        const part = (x - points[i - 2]) / (points[i] - points[i - 2] || 1);
        return points[i - 1] + part * (points[i + 1] - points[i - 1]);
      }
    }
    return null;
  };
  for (const plot of document.querySelectorAll(".plot")) {
    const box = plot.querySelector(".box");
    const unit = plot.querySelector(".unit");
    if (!box || !unit) continue;
    const rule = document.createElement("i");
    const [largest, low, high, decimals] = plot.dataset.scale.split(" ").map(Number);
    const labels = [...plot.querySelectorAll(".names > span")].map((label) => {
      const path = plot.querySelector(`g.${label.classList[0]} .mean`);
      const value = label.querySelector("b");
      return { value, last: value.textContent, points: path ? places(path) : [] };
    });
    const words = unit.textContent;
    const leave = () => {
      rule.remove();
      unit.textContent = words;
      for (const label of labels) label.value.textContent = label.last;
    };
    box.addEventListener("pointermove", (event) => {
      const edges = box.getBoundingClientRect();
      const part = Math.min(Math.max((event.clientX - edges.left) / edges.width, 0), 1);
      rule.style.left = `${part * 100}%`;
      box.append(rule);
      const place = part * largest;
      unit.textContent = `${place.toLocaleString("en", { maximumSignificantDigits: 3 })} ${words.split(";")[0]}`;
      for (const label of labels) {
        const y = at(label.points, part * 1000);
        const value = y === null ? "" : (high - (y / 1000) * (high - low)).toFixed(decimals).replace("-", "−");
        label.value.textContent = value || "–";
      }
    });
    box.addEventListener("pointerleave", leave);
  }
})();
