"""The look of the pages: light, dark, narrow and printed."""

from __future__ import annotations

from typing import Final

CSS: Final = """
:root{--paper:#fdfdfb;--card:#fff;--ink:#1f2328;--quiet:#626a73;--rule:#d9dce0;--accent:#0b5cad;
--good:#2f7fc1;--bad:#d0541f;--on:#fff;--tint:#eef4fa;--warn:#fff4e0;--mono:ui-monospace,SFMono-Regular,Menlo,
Consolas,"DejaVu Sans Mono",monospace;
--s0:#0072b2;--s1:#d55e00;--s2:#008a66;--s3:#b0568b;--s4:#b87d00;--s5:#3a96c9;--s6:#6a5fc4;--s7:#7d7d00;
color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--paper:#15181c;--card:#1c2025;--ink:#e4e6e8;--quiet:#9aa3ad;
--rule:#363c44;--accent:#6db3f2;--good:#4f9fdc;--bad:#ec7846;--on:#0d0f11;--tint:#1b2733;--warn:#3a2d14;
--s0:#56b4e9;--s1:#f28b50;--s2:#3cc79c;--s3:#dd8fbd;--s4:#e6b64a;--s5:#8ccdf2;--s6:#a79df5;--s7:#c9c95a}}
*{box-sizing:border-box}
html{font:17px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",Ubuntu,Cantarell,"Liberation Sans",
"DejaVu Sans",sans-serif;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink)}
main{max-width:62rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
header p.kicker{margin:0 0 .75rem;color:var(--quiet);font-size:.88rem}
h1{font-size:clamp(1.45rem,4vw,2.15rem);line-height:1.22;font-weight:650;letter-spacing:-.015em;
margin:0 0 .8rem;
text-wrap:balance;overflow-wrap:anywhere}
h2{font-size:1.2rem;line-height:1.3;margin:3rem 0 .9rem;padding-top:1rem;border-top:1px solid var(--rule);
font-weight:650}
h3{font-size:1rem;margin:1.6rem 0 .5rem}
p{margin:0 0 .8rem;max-width:44rem}
.lead{font-size:1.08rem}
.verdict{font-weight:600}
.quiet,figcaption,.legend{color:var(--quiet);font-size:.88rem}
.banner{border-left:4px solid var(--bad);background:var(--warn);padding:.7rem 1rem;border-radius:4px;
max-width:none;overflow-wrap:anywhere}
dl.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:1rem 1.5rem;
margin:1.75rem 0 0}
dl.facts dt{color:var(--quiet);font-size:.8rem}
dl.facts dd{margin:0;font-weight:600;overflow-wrap:anywhere}
.bars{display:grid;grid-template-columns:minmax(6rem,max-content) 1fr;gap:.4rem 1rem;margin:1.4rem 0 0;
max-width:44rem;
align-items:center}
.bars>span{font-size:.92rem;overflow-wrap:anywhere}
.bars>div{display:flex;align-items:center;gap:.6rem;font-variant-numeric:tabular-nums;font-size:.92rem;
white-space:nowrap}
.bars+p{margin-top:.5rem}
.bars i{display:block;height:1.05rem;min-width:2px;background:var(--rule);border-radius:2px}
.bars .mine i{background:var(--good)}.bars .mine{font-weight:650}
figure{margin:0 0 1rem}
svg{display:block;width:100%;max-width:100%;height:auto}
svg text{fill:var(--ink);font-family:inherit}
svg.confusion .frame{fill:none;stroke:var(--rule)}
svg.confusion .axis{fill:var(--quiet);font-size:12px}
svg.confusion .on{fill:var(--on)}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:.3rem 0 0}
.legend b{display:inline-block;width:1.1em;height:.25em;margin-right:.45em;vertical-align:middle;
border-radius:2px}
.legend b.box{height:.8em;width:.8em}
.two{display:flex;flex-wrap:wrap;gap:1rem 3rem;align-items:flex-start}.two>*{min-width:0;max-width:100%}
.two h3{margin-top:.2rem}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:1rem 1.5rem}
.panels svg{max-width:34rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;min-width:min(100%,22rem)}
th{font-weight:600;text-align:left;color:var(--quiet);font-size:.82rem}
th,td{padding:.32rem .9rem .32rem 0;border-bottom:1px solid var(--rule);vertical-align:top;
overflow-wrap:anywhere}
th.n,td.n{text-align:right;white-space:nowrap}
td.low{color:var(--bad);font-weight:650}
tr.split td{font-weight:600}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:1.3rem 1rem}
.gallery.wide{grid-template-columns:repeat(auto-fill,minmax(18rem,1fr))}
.gallery .pair{display:grid;grid-template-columns:1fr 1fr;gap:4px}
.gallery .nowhere{display:grid;place-items:center;text-align:center;background:var(--tint);border-radius:4px;
color:var(--quiet);font-size:.82rem}
.square{width:24rem;max-width:100%}
.beside{max-width:30rem;padding-top:.6rem}
.scroll+p.quiet{margin-top:.6rem}
td small{color:var(--quiet);font-size:.85em;margin-left:.5em}
svg.interval{width:10rem;min-width:8rem;margin:.15rem 0 0}
.gallery img{display:block;width:100%;height:auto;image-rendering:pixelated;border-radius:4px;
background:var(--tint)}
.gallery figcaption{margin-top:.4rem;line-height:1.4;overflow-wrap:anywhere}
.gallery figcaption strong{color:var(--ink)}
.gallery .wrong{color:var(--bad);font-weight:650}
pre{background:var(--tint);padding:1rem 1.1rem;border-radius:6px;overflow-x:auto;
font:.82rem/1.5 var(--mono);margin:0}
code{font:.9em var(--mono)}
.ok{color:var(--good);font-weight:650}.no{color:var(--bad);font-weight:650}
details>summary{cursor:pointer;color:var(--accent);font-size:.92rem;margin:.4rem 0}
footer{margin-top:3.5rem;color:var(--quiet);font-size:.82rem;border-top:1px solid var(--rule);
padding-top:.8rem}
td:first-child,th:first-child{min-width:5.5rem}
th{overflow-wrap:normal}
@media (max-width:44rem){main{padding-top:1.5rem}td small{display:block;margin:0}}
@media print{:root{--paper:#fff;--card:#fff;--ink:#000;--quiet:#444;--rule:#bbb;--tint:#f5f5f5;--on:#fff;
--good:#2f7fc1;
--bad:#b8420f;color-scheme:light}
html{font-size:10.5pt}main{max-width:none;padding:0}h2{margin-top:1.6rem;break-after:avoid}
figure,tr,.gallery>figure{break-inside:avoid}pre{white-space:pre-wrap}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""

SUMMARY_CSS: Final = """
.benchdog{--ink:currentColor;--rule:rgba(128,128,128,.45);--good:#3a8fd0;--s0:#2f8fcb;--s1:#e0702a;
--s2:#1fa37c;
--s3:#c374a5;--s4:#cf9a2b;--s5:#56aede;--s6:#8a80dc;--s7:#9a9a30;font-size:14px;line-height:1.5;
max-width:46rem}
.benchdog h4{font-size:16px;line-height:1.35;margin:0 0 .3em}
.benchdog p{margin:0 0 .4em}
.benchdog .quiet{opacity:.7;font-size:13px}
.benchdog .panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,240px),1fr));
gap:8px 16px}
.benchdog figure{margin:0 0 .4em}
.benchdog svg{display:block;width:100%;max-width:360px;height:auto}
.benchdog svg text{fill:currentColor}
.benchdog .legend{display:flex;flex-wrap:wrap;gap:0 1.2em;font-size:13px;opacity:.85}
.benchdog .legend b{display:inline-block;width:1.1em;height:.25em;margin-right:.45em;vertical-align:middle}
"""
