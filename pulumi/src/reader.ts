// Reads settings that anybody may have typed: every value is checked, a name that does not exist is refused, and all
// mistakes are told at once, each with its full name and what would be right.

export class Mistakes {
    readonly found: string[] = [];

    report(name: string, what: string): void {
        this.found.push(`${name}: ${what}`);
    }

    /** Throws everything that was reported. */
    finish(): void {
        if (this.found.length > 0) {
            throw new Error(`the settings have ${this.found.length} mistake(s):\n  ${this.found.join("\n  ")}`);
        }
    }
}

/** One mapping of the settings. Keys that nobody asked for are mistakes, reported by `finish`. */
export class Section {
    private readonly values: Record<string, unknown>;
    private readonly known = new Set<string>();
    private readonly inner: Section[] = [];
    /** Whether it was written down at all. */
    readonly present: boolean;

    constructor(
        private readonly path: string,
        raw: unknown,
        private readonly mistakes: Mistakes,
    ) {
        this.present = raw !== undefined && raw !== null;
        if (this.present && (typeof raw !== "object" || Array.isArray(raw))) {
            mistakes.report(path, `is ${shown(raw)}, must be a mapping`);
            raw = {};
        }
        this.values = { ...(raw as Record<string, unknown> | undefined | null) };
    }

    name(key: string): string {
        return this.path === "" ? key : `${this.path}.${key}`;
    }

    section(key: string): Section {
        const section = new Section(this.name(key), this.take(key), this.mistakes);
        this.inner.push(section);
        return section;
    }

    integer(key: string, fallback: number, least: number, most: number): number {
        const value = this.take(key);
        if (value === undefined) {
            return fallback;
        }
        if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
            this.mistakes.report(this.name(key), `is ${shown(value)}, must be a whole number from ${least} to ${most}`);
            return fallback;
        }
        return value;
    }

    /** A number of processors, as in `0.5`. */
    decimal(key: string, fallback: number, least: number, most: number): number {
        const value = this.take(key);
        if (value === undefined) {
            return fallback;
        }
        if (typeof value !== "number" || !(value >= least && value <= most)) {
            this.mistakes.report(this.name(key), `is ${shown(value)}, must be a number from ${least} to ${most}`);
            return fallback;
        }
        return value;
    }

    flag(key: string, fallback: boolean): boolean {
        const value = this.take(key);
        if (value === undefined) {
            return fallback;
        }
        if (typeof value !== "boolean") {
            this.mistakes.report(this.name(key), `is ${shown(value)}, must be true or false`);
            return fallback;
        }
        return value;
    }

    choice<T extends string>(key: string, among: readonly T[], fallback?: T): T | undefined {
        const value = this.take(key) ?? fallback;
        if (among.includes(value as T)) {
            return value as T;
        }
        const is = value === undefined ? "is not set" : `is ${shown(value)}`;
        this.mistakes.report(this.name(key), `${is}, must be ${among.join(" or ")}`);
        return fallback;
    }

    /** A text of one form; `what` says which. */
    text(key: string, fallback: string, form: RegExp, what: string): string {
        const value = this.take(key);
        if (value === undefined) {
            return fallback;
        }
        return this.formed(this.name(key), value, form, what) ?? fallback;
    }

    optionalText(key: string, form: RegExp, what: string): string | undefined {
        const value = this.take(key);
        return value === undefined ? undefined : this.formed(this.name(key), value, form, what);
    }

    /** A text that must be there. */
    neededText(key: string, form: RegExp, what: string): string {
        const value = this.take(key);
        if (value === undefined) {
            this.mistakes.report(this.name(key), `is not set, must be ${what}`);
            return "";
        }
        return this.formed(this.name(key), value, form, what) ?? "";
    }

    texts(key: string, form: RegExp, what: string): string[] {
        const value = this.take(key);
        if (value === undefined) {
            return [];
        }
        if (!Array.isArray(value)) {
            this.mistakes.report(this.name(key), `is ${shown(value)}, must be a list`);
            return [];
        }
        const read = value.map((item, at) => this.formed(`${this.name(key)}[${at}]`, item, form, what));
        return read.filter((item) => item !== undefined);
    }

    /** Reports what stands here and is no setting. */
    finish(): void {
        for (const key of Object.keys(this.values).filter((key) => !this.known.has(key))) {
            this.mistakes.report(this.name(key), `no such setting; there are ${[...this.known].join(", ")}`);
        }
        for (const section of this.inner) {
            section.finish();
        }
    }

    private take(key: string): unknown {
        this.known.add(key);
        return this.values[key] ?? undefined;
    }

    private formed(name: string, value: unknown, form: RegExp, what: string): string | undefined {
        if (typeof value !== "string" || !form.test(value)) {
            this.mistakes.report(name, `is ${shown(value)}, must be ${what}`);
            return undefined;
        }
        return value;
    }
}

function shown(value: unknown): string {
    return JSON.stringify(value) ?? String(value);
}
