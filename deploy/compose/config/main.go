// Prints what docker-compose.yml comes to, as JSON: what `docker compose config` does, by the same loader and without an
// engine. Reads the .env file that --env-file names and nothing of its own environment.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	envFile := flag.String("env-file", ".env", "what variables stand for")
	profiles := flag.String("profile", "", "profiles that are on, comma-separated")
	flag.Parse()
	if err := show(*envFile, *profiles, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func show(envFile, profiles string, files []string) error {
	on := strings.FieldsFunc(profiles, func(r rune) bool { return r == ',' })
	options, err := cli.NewProjectOptions(files,
		cli.WithEnv([]string{"COMPOSE_PROFILES=" + profiles}),
		cli.WithEnvFiles(envFile),
		cli.WithDotEnv,
		cli.WithDefaultProfiles(on...),
	)
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(project, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(text))
	return err
}
