// Unpacks plotly, which is in the page, and draws the charts; without it the tables say the same.
(async () => {
  const charts = [...document.querySelectorAll(".chart")];
  try {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    const isTouch = matchMedia("(pointer: coarse)").matches;
    for (const chart of charts) {
      const { data, layout } = JSON.parse(chart.nextElementSibling.textContent);
      // A finger that moves over a chart scrolls the page.
      layout.dragmode = isTouch ? false : "zoom";
      const ink = getComputedStyle(chart).color;
      layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: ink, activecolor: ink };
      if (chart.clientWidth < 600) {
        // A legend of several lines above would take the chart's room.
        layout.legend = { orientation: "h", y: -0.16, yanchor: "top", x: 0, font: { size: 10 } };
        chart.style.height = `${parseInt(chart.style.height) + 70}px`;
      }
      await Plotly.newPlot(chart, data, layout, {
        displaylogo: false,
        displayModeBar: isTouch ? false : "hover",
        responsive: true,
        showSendToCloud: false, // nothing of a report leaves the machine
      });
    }
    const resize = (width) => charts.forEach((chart) => { chart.style.width = width; Plotly.Plots.resize(chart); });
    addEventListener("beforeprint", () => resize("680px"));
    addEventListener("afterprint", () => resize(""));
    document.documentElement.dataset.drawn = charts.length;
  } catch (error) {
    for (const chart of charts) chart.textContent = "This browser cannot draw the chart; the tables have its numbers.";
    document.documentElement.dataset.drawn = "0";
    console.error(error);
  }
})();
