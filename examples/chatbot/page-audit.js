// Run inside a page by its test: what a reader with other eyes, hands or screens would stumble over.
;(() => {
  const channels = (colour) => (colour.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number)
  // WCAG 2.2: relative luminance, contrast ratio.
  const luminance = (colour) => {
    const [r, g, b] = channels(colour).map((c) =>
      c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4,
    )
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const ground = (element) => {
    if (!element) return 'rgb(255, 255, 255)'
    const colour = getComputedStyle(element).backgroundColor
    return /, 0\)$/.test(colour) ? ground(element.parentElement) : colour
  }
  const contrast = (element) => {
    const both = [getComputedStyle(element).color, ground(element)].map(luminance).sort((a, b) => b - a)
    return (both[0] + 0.05) / (both[1] + 0.05)
  }
  const texts = [...document.querySelectorAll('h1, h2, p, small, label, button, textarea, input')]
  const controls = [...document.querySelectorAll('button, textarea, input, select')]
  return {
    scrollsSideways: document.documentElement.scrollWidth > innerWidth,
    worstContrast: Math.min(...texts.map(contrast)),
    unlabelled: controls.filter((control) => !(control.labels?.length || control.textContent)).length,
    lowestControl: Math.min(...controls.map((control) => control.getBoundingClientRect().height)),
  }
})()
