// What nobody may read. Made at random once, kept in the stack's state, encrypted there; never an output that is shown.

import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

export interface Secrets {
    postgres: pulumi.Output<string>;
    valkey: pulumi.Output<string>;
    /** Verifies client tokens (`auth.secret`). */
    auth: pulumi.Output<string>;
    /** What directors show distributors (`distributor.link.secret`, `director.link_secret`). */
    link: pulumi.Output<string>;
}

export class RandomSecrets extends pulumi.ComponentResource implements Secrets {
    readonly postgres: pulumi.Output<string>;
    readonly valkey: pulumi.Output<string>;
    readonly auth: pulumi.Output<string>;
    readonly link: pulumi.Output<string>;

    constructor(name: string, options?: pulumi.ComponentResourceOptions) {
        super("postrider:infrastructure:Secrets", name, {}, options);
        // Letters and digits only: two of them stand in URLs, and all may stand in an .env file unquoted.
        const make = (part: string) => {
            const made = new random.RandomPassword(`${name}-${part}`, { length: 48, special: false }, { parent: this });
            return pulumi.secret(made.result);
        };
        this.postgres = make("postgres");
        this.valkey = make("valkey");
        this.auth = make("auth");
        this.link = make("link");
        this.registerOutputs({});
    }
}
