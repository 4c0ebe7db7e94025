"""The JavaScript that `tests.support.lab` runs in a JupyterLab.

`LISTEN` defines `label` and `trouble`, and `OPENED` the global `notebook` that the others use.
"""

import json


def call(function: str, *arguments: object) -> str:
    """JavaScript: a function's value for arguments that JSON can hold."""
    return f"({function})({', '.join(map(json.dumps, arguments))})"


def labelled(selector: str, label: str) -> str:
    """JavaScript: the widgets of a kind whose description is `label`."""
    found = f"[...notebook.node.querySelectorAll('{selector}')]"
    return f"{found}.filter(e => label(e) === {json.dumps(label)})"


OPENED = """(name) => {
    const app = window.jupyterapp;
    if (!app) return false;
    const main = [...app.shell.widgets('main')];
    window.notebook = main.find(w => w.context && w.context.path === name);
    return !!(window.notebook && notebook.context.isReady
        && notebook.sessionContext.session?.kernel?.status === 'idle');
}"""
# JupyterLab asks for widgets as soon as the kernel is up, which says "No such comm" on stderr while
# ipywidgets is not imported yet.
LISTEN = """(() => {
    window.trouble = [];
    window.label = e => {
        const labels = [...e.querySelectorAll('.widget-label, .widget-label-basic')];
        const text = labels.map(l => l.innerText).join('') || e.innerText;
        return text.replaceAll('\\u200b', '').trim();
    };
    notebook.sessionContext.iopubMessage.connect((_, message) => {
        const {header, content, parent_header} = message;
        if (parent_header.msg_type === 'execute_request') return;  // of a cell
        if (header.msg_type === 'error') trouble.push(content.ename + ': ' + content.evalue);
        const said = header.msg_type === 'stream' && content.name === 'stderr';
        if (said && !content.text.startsWith('No such comm')) trouble.push(content.text);
    });
    jupyterapp.shell.collapseLeft?.();
})()"""
RUN_ALL = """window.done = false;
jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.done = true; });
null"""
IS_DONE = "window.done && notebook.sessionContext.session.kernel.status === 'idle'"
CELLS = """notebook.content.widgets.map(cell => ({
    type: cell.model.type,
    source: cell.model.sharedModel.getSource(),
    count: cell.model.executionCount ?? null,
    outputs: cell.model.outputs ? cell.model.outputs.toJSON() : [],
}))"""
BROKEN_WIDGETS = """(() => {
    const broken = new RegExp('Error displaying widget|Loading widget\\\\.\\\\.\\\\.'
        + '|Error creating widget|Javascript Error');
    return [...notebook.node.querySelectorAll('.jp-OutputArea-output')]
        .map(e => e.innerText).filter(text => broken.test(text));
})()"""
DEAD_WIDGETS = """(() => {
    const view = 'application/vnd.jupyter.widget-view+json';
    const shows = cell => cell.model.outputs?.toJSON().some(o => o.data?.[view]);
    const dead = cell => shows(cell) && !cell.node.querySelector('.jupyter-widgets');
    return notebook.content.widgets
        .map((cell, number) => dead(cell) ? number : null).filter(number => number !== null);
})()"""
WIDGETS = """(() => {
    const kinds = 'button toggle-button slider dropdown checkbox text'.split(' ');
    const selector = kinds.map(kind => '.widget-' + kind).join(', ') + ', .widget-play button';
    const kind = /widget-(toggle-button|button|slider|dropdown|checkbox|text)|jupyter-button/;
    return [...notebook.node.querySelectorAll(selector)].map(e => ({
        kind: e.className.match(kind)[0],
        label: (label(e) || e.title || '').trim(),
        value: e.querySelector('.widget-readout')?.innerText
            ?? e.querySelector('select, input')?.value ?? null,
        disabled: e.disabled ?? false,
    }));
})()"""
# ipywidgets writes spaces in options as no-break spaces
CHOOSE = """(widget, option) => {
    const select = widget.querySelector('select');
    const texts = [...select.options].map(o => o.text.replaceAll('\\u00a0', ' '));
    if (!texts.includes(option)) throw new Error(option + ' is not among ' + texts);
    select.selectedIndex = texts.indexOf(option);
    select.dispatchEvent(new Event('change', {bubbles: true}));
}"""
COUNT_PICTURES = """(nth, milliseconds) => new Promise(resolve => {
    const image = notebook.node.querySelectorAll('img.widget-image')[nth];
    if (!image) throw new Error('no image widget');
    let count = 0;
    const watch = new MutationObserver(changes => { count += changes.length; });
    watch.observe(image, {attributes: true, attributeFilter: ['src']});
    setTimeout(() => { watch.disconnect(); resolve(count); }, milliseconds);
})"""
PYTHON = """(code, milliseconds) => {
    let text = '';
    const kernel = notebook.sessionContext.session.kernel;
    const future = kernel.requestExecute({code, silent: false, store_history: false});
    future.onIOPub = m => {
        const error = m.header.msg_type === 'error';
        text += m.content.text ?? (error ? m.content.ename + ': ' + m.content.evalue : '');
    };
    const late = new Promise(r => setTimeout(() => r(text + ' [still busy]'), milliseconds));
    return Promise.race([future.done.then(() => text), late]);
}"""
SCROLLER = """(notebook.content.node.querySelector('.jp-WindowedPanel-outer')
    ?? notebook.content.node)"""
# [end of the last cell, height of the page]: beneath the last cell is room to scroll
HEIGHTS = f"""(() => {{
    const scroller = {SCROLLER};
    const top = scroller.getBoundingClientRect().top;
    const last = notebook.content.widgets.at(-1).node;
    return [last.getBoundingClientRect().bottom - top, scroller.clientHeight];
}})()"""
