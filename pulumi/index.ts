import * as pulumi from "@pulumi/pulumi";

import { ownConfiguration } from "./src/configuration";
import { infrastructure } from "./src/infrastructure";

export = infrastructure(ownConfiguration(pulumi.runtime.allConfig(), pulumi.getProject()));
