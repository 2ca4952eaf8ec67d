// A picture of the coloured text, drawn in the browser: nothing is sent anywhere.

import { pageDirection } from "./i18n.js";

const SCALE = 2; // pixels of the picture for each of the page
const MARGIN = 28;
const CAPTION = { size: 14, height: 24 };

/**
 * Draw a text as the page shows it, with a colour behind each character.
 *
 * Positions are the page's own, so that letters join and lines break as they do there.
 *
 * @param {HTMLElement} paragraph
 * @param {string[]} colours of the characters (code points), in order
 * @param {string[]} captions lines below the text
 * @returns {HTMLCanvasElement}
 */
export function drawText(paragraph, colours, captions) {
  const style = getComputedStyle(paragraph);
  const captionFont = style.font.replace(/[\d.]+px/, CAPTION.size + "px");
  const placed = characters(paragraph);
  const lines = linesOf(placed);
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  pen.font = captionFont;
  const frame = paragraph.getBoundingClientRect();
  const [left, right] = [Math.min(...lines.map((line) => line.left)), Math.max(...lines.map((line) => line.right))];
  const inner = Math.max(right - left, ...captions.map((caption) => pen.measureText(caption).width));
  const [width, height] = [inner + 2 * MARGIN, frame.height + 2 * MARGIN + CAPTION.height * captions.length];
  Object.assign(canvas, { width: SCALE * width, height: SCALE * height }); // this resets the pen
  pen.scale(SCALE, SCALE);
  pen.fillStyle = getComputedStyle(paragraph.closest("section")).backgroundColor;
  pen.fillRect(0, 0, width, height);
  pen.translate((width - left - right) / 2, MARGIN - frame.top);
  placed.forEach(({ rectangles }, i) => {
    pen.fillStyle = colours[i];
    for (const r of rectangles) pen.fillRect(r.left, r.top, r.width, r.height);
  });
  const rightToLeft = style.direction === "rtl";
  Object.assign(pen, { font: style.font, fillStyle: style.color, direction: style.direction });
  pen.textAlign = rightToLeft ? "right" : "left";
  const { fontBoundingBoxAscent: ascent, fontBoundingBoxDescent: descent } = pen.measureText("ا");
  for (const line of lines)
    pen.fillText(line.text, rightToLeft ? line.right : line.left, (line.top + line.bottom + ascent - descent) / 2);
  Object.assign(pen, { font: captionFont, direction: pageDirection(), textAlign: "center" });
  captions.forEach((caption, i) => pen.fillText(caption, (left + right) / 2, frame.bottom + MARGIN + CAPTION.height * i));
  return canvas;
}

/** Group characters by the lines that they stand in. */
function linesOf(placed) {
  const lines = [];
  for (const { text, rectangles } of placed) {
    const [r] = rectangles;
    if (!r) continue;
    const line = lines.at(-1);
    const middle = (r.top + r.bottom) / 2;
    if (line && middle > line.top && middle < line.bottom) {
      line.text += text;
      line.left = Math.min(line.left, r.left);
      line.right = Math.max(line.right, r.right);
    } else lines.push({ text, left: r.left, right: r.right, top: r.top, bottom: r.bottom });
  }
  return lines;
}

/** Return the characters of an element, each with its text and its rectangles on the page. */
function characters(element) {
  const found = [];
  const nodes = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node; (node = nodes.nextNode()); ) {
    let offset = 0;
    for (const text of node.data) {
      const range = new Range();
      range.setStart(node, offset);
      range.setEnd(node, (offset += text.length));
      found.push({ text, rectangles: [...range.getClientRects()] });
    }
  }
  return found;
}

/** Share a picture with the system's own dialog, or save it where there is none. */
export async function sharePicture(canvas, name) {
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const file = new File([blob], name, { type: "image/png" });
  if (matchMedia("(pointer: coarse)").matches && navigator.canShare?.({ files: [file] })) {
    await navigator.share({ files: [file] }).catch((error) => {
      if (error.name !== "AbortError") throw error; // the dialog was closed
    });
    return;
  }
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
