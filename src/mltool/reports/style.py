"""The style sheet of every page: no fonts or scripts from elsewhere, light and dark, on screens and on paper.

Colours are chosen for contrast (text 4.5:1 and marks 3:1 against the paper) and to differ under colour blindness,
after Okabe and Ito. Printing is always light.
"""

from __future__ import annotations

_LIGHT = """
--paper:#fdfdfc;--raised:#f5f5f2;--ink:#1b1e23;--muted:#5c636e;--rule:#e3e3de;--accent:#0a5fb4;
--s0:#0a5fb4;--s1:#b9480a;--s2:#007a5a;--s3:#96407d;--s4:#806000;--s5:#3f6f8f;
--good:#00694c;--bad:#b3261e;--idle:#5c636e
"""
_DARK = """
--paper:#14171b;--raised:#1d2126;--ink:#e7e8ea;--muted:#a0a7b1;--rule:#30353c;--accent:#6cb4f2;
--s0:#6cb4f2;--s1:#f0945a;--s2:#45c79f;--s3:#dc92c5;--s4:#d8b34a;--s5:#a3c7dd;
--good:#5ad0a8;--bad:#ff8f85;--idle:#a0a7b1
"""

_PAGE = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth;scroll-padding-top:1rem}
body{margin:0;background:var(--paper);color:var(--ink);line-height:1.5;font-size:16px;
 font-family:system-ui,-apple-system,"Segoe UI","Helvetica Neue","Noto Sans","Liberation Sans",Arial,sans-serif;
 font-variant-numeric:tabular-nums;overflow-wrap:break-word}
.wrap{max-width:64rem;margin:0 auto;padding:3rem 2rem 4rem}
h1{font-size:2.1rem;line-height:1.15;letter-spacing:-.02em;font-weight:650;margin:0 0 .35rem}
h2{font-size:1.2rem;line-height:1.3;letter-spacing:-.01em;font-weight:650;margin:0 0 .9rem}
h3{font-size:.95rem;font-weight:600;margin:1.4rem 0 .5rem}
p{margin:0 0 .8rem;max-width:44rem}
.subtitle,.note,.muted,.empty,figcaption{color:var(--muted)}
.subtitle{margin:0}
.note,.empty,figcaption{font-size:.875rem}
code,pre,.mono{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.86em}
a{color:var(--accent);text-decoration-thickness:1px;text-underline-offset:.2em}
:focus-visible{outline:2px solid var(--accent);outline-offset:3px;border-radius:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:1rem;background:var(--paper);padding:.4rem .7rem}
header{padding-bottom:1.4rem}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.15rem 1.15rem;margin:0;padding:.65rem 0;font-size:.9rem;
 border-top:1px solid var(--rule);border-bottom:1px solid var(--rule)}
nav a{text-decoration:none}nav a:hover{text-decoration:underline}
section{padding-top:2.6rem}
footer{margin-top:3.5rem;padding-top:1rem;border-top:1px solid var(--rule);color:var(--muted);font-size:.85rem}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.9rem;min-width:min(100%,22rem)}
th,td{padding:.42rem 1.4rem .42rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule)}
tr>:last-child{padding-right:0}
thead th{font-weight:600;color:var(--muted);font-size:.82rem;white-space:nowrap;vertical-align:bottom}
tbody th{font-weight:500}
td:last-child:not(.number){min-width:9rem}
.nowrap{white-space:nowrap}
.number{text-align:right;white-space:nowrap}
td.middle,.middle td,.middle th{vertical-align:middle}
details{margin:.9rem 0}summary{cursor:pointer;color:var(--accent);font-size:.9rem;margin-bottom:.5rem;width:fit-content}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.25rem 1.4rem;margin:0;font-size:.9rem}
dt{color:var(--muted)}dd{margin:0;overflow-wrap:anywhere}
.groups{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,18rem),1fr));gap:.4rem 2.5rem}
.groups h3{border-bottom:1px solid var(--rule);padding-bottom:.3rem}
.badge{white-space:nowrap;font-weight:600}
.passed{color:var(--good)}.failed{color:var(--bad)}.not_run{color:var(--idle)}
.badge .sign{display:inline-block;width:1.25em}
.verdict{font-size:1rem;margin:1rem 0 0}
.figures{display:flex;flex-wrap:wrap;gap:1.3rem 3rem;margin:0;padding-top:1.8rem}
.figures div{display:flex;flex-direction:column-reverse;justify-content:flex-end}
.figures dt{font-size:.875rem}
.figures dd{font-size:2rem;line-height:1.15;font-weight:600;letter-spacing:-.02em;white-space:nowrap}
.figures span{display:block;font-size:.82rem}
.measured{margin:1rem 0 0}
ul.plain{margin:0;padding-left:1.1rem;max-width:44rem}ul.plain li{margin:.2rem 0}
.command{display:block;background:var(--raised);border-left:3px solid var(--accent);padding:.5rem .9rem;margin:.4rem 0;
 overflow-x:auto;white-space:pre;user-select:all;max-width:44rem}
ol.line{list-style:none;margin:0;padding:0 0 0 .4rem;font-size:.9rem}
ol.line li{border-left:2px solid var(--rule);padding:.15rem 0 .9rem 1.2rem;position:relative}
ol.line li:last-child{padding-bottom:0}
ol.line li::before{content:"";position:absolute;left:-6px;top:.55rem;width:10px;height:10px;border-radius:50%;
 background:var(--paper);border:2px solid var(--muted)}
ol.line li:last-child{border-color:transparent}
ol.line li.here::before{background:var(--accent);border-color:var(--accent)}
"""

_PLOTS = """
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1.6rem 2.5rem;
 align-items:start}
.tables{display:flex;flex-wrap:wrap;gap:0 3rem}.tables>div{max-width:100%}
figure{margin:0}figcaption{margin-top:.3rem}
.plot svg{display:block;max-width:100%;height:auto}
svg text{font-size:12px;fill:var(--muted)}
svg text.ink{fill:var(--ink)}svg text.label{font-size:12px}
svg text.name{font-weight:600}
.grid{stroke:var(--rule)}.axis,.tick{stroke:var(--muted)}
.grid,.axis,.tick{stroke-width:1;fill:none;shape-rendering:crispEdges}
.mark{stroke:var(--muted);stroke-width:1;stroke-dasharray:3 3;fill:none}
.gap{stroke:var(--muted);stroke-width:1.5;opacity:.45}
.line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.d1{stroke-dasharray:6 4}.d2{stroke-dasharray:1.5 4}
.dots circle{fill:currentColor}.hidden circle{fill:transparent}.hidden circle:hover{fill:currentColor}
.dot{fill:currentColor;stroke:var(--paper);stroke-width:1}
svg .s0{color:var(--s0)}svg .s1{color:var(--s1)}svg .s2{color:var(--s2)}
svg .s3{color:var(--s3)}svg .s4{color:var(--s4)}svg .s5{color:var(--s5)}
svg text.name{fill:currentColor}
.bar{fill:var(--accent)}rect.bar:hover{opacity:.75}
.cloud{stroke:var(--accent);stroke-width:4.4;stroke-linecap:round;opacity:.4;fill:none}
.ring{fill:none;stroke:var(--muted);stroke-width:1.5}
.faint{fill:none;stroke:var(--muted);stroke-width:1;opacity:.5}
.worst{fill:none;stroke:var(--s1);stroke-width:1.8}
.silent{fill:none;stroke:var(--bad);stroke-width:2}
.hit{fill:var(--accent)}.miss{fill:var(--s1)}.none{fill:var(--raised)}
svg.small{display:block}
.share{display:inline-block;width:5rem;height:.55rem;background:var(--raised);margin-right:.6rem}
.share span{display:block;height:100%;background:var(--accent)}
.pictures{list-style:none;margin:0;padding:0;display:grid;gap:1.1rem .9rem;
 grid-template-columns:repeat(auto-fill,minmax(6rem,1fr))}
.pictures.tight{grid-template-columns:repeat(auto-fill,minmax(3.4rem,1fr));gap:.4rem}
.pictures li{font-size:.8rem;line-height:1.35}
.pictures span{display:block}
.pictures img{display:block;width:100%;height:auto;aspect-ratio:1;object-fit:contain;
 background:var(--raised);margin-bottom:.3rem}
.pixels{image-rendering:pixelated}
.undrawable{aspect-ratio:1;background:var(--raised);color:var(--muted);padding:.4rem;margin-bottom:.3rem}
"""

_MEDIA = f"""
@media (max-width:40rem){{.wrap{{padding:1.6rem 1.1rem 3rem}}h1{{font-size:1.6rem}}.figures dd{{font-size:1.6rem}}
 section{{padding-top:2.1rem}}.pictures{{grid-template-columns:repeat(auto-fill,minmax(5rem,1fr))}}}}
@media (prefers-reduced-motion:reduce){{html{{scroll-behavior:auto}}}}
@media screen and (prefers-color-scheme:dark){{:root{{color-scheme:dark;{_DARK}}}}}
@media print{{@page{{margin:16mm}}body{{font-size:10.5pt;background:none}}
 .wrap{{max-width:none;padding:0}}nav,.skip{{display:none}}
 *{{print-color-adjust:exact;-webkit-print-color-adjust:exact}}h2,h3{{break-after:avoid}}
 figure,tr,.pictures li,.command,ol.line li,.groups>div{{break-inside:avoid}}.scroll{{overflow:visible}}
 .scroll svg{{min-width:0!important}}
 .plots{{grid-template-columns:repeat(auto-fit,minmax(17rem,1fr))}}.command{{white-space:pre-wrap}}summary{{display:none}}
 details::details-content{{content-visibility:visible;display:block}}}}
"""

STYLE = f":root{{color-scheme:light;{_LIGHT}}}{_PAGE}{_PLOTS}{_MEDIA}".replace("\n", "")
