// A stack's configuration as the program finds it: texts by `project:key`, mappings among them as JSON.

/** What is set for `project`, whatever it is named: what does not exist is refused with the rest. */
export function ownConfiguration(all: Record<string, string>, project: string): Record<string, unknown> {
    const prefix = `${project}:`;
    const own = Object.entries(all).filter(([key]) => key.startsWith(prefix));
    return Object.fromEntries(own.map(([key, text]) => [key.slice(prefix.length), value(text)]));
}

/** A mapping, list, number or flag where it reads as one, else the text itself. */
function value(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        return text;
    }
}
