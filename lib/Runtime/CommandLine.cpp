//===- CommandLine.cpp - The command line of a compiled model ---------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/CommandLine.h"

#include "quern/Runtime/Error.h"
#include "quern/Runtime/Threads.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

namespace quern::runtime {

CLI::App *CommandLine::add(const std::string &name, const std::string &description,
                           std::function<void()> action, bool runsCode) {
  CLI::App *command = app.add_subcommand(name, description);
  if (runsCode) {
    addInteger(*command, "--threads", threads, 1, 4096,
               "Threads (default: OMP_NUM_THREADS, or all cores). Results do not depend on it");
    addDevice(*command, deviceName);
  }
  command->callback([this, command, action = std::move(action), runsCode] {
    given = command;
    chosen = [this, action, runsCode] {
      if (runsCode) {
        opened = openDevice(module, deviceName);
        setThreads(int(threads));
      }
      action();
    };
  });
  return command;
}

/// All long names that `command` knows, for suggestions.
static std::vector<std::string> optionNames(const CLI::App &command) {
  std::vector<std::string> names;
  for (const CLI::Option *option : command.get_options())
    for (const std::string &name : option->get_lnames())
      names.push_back("--" + name);
  for (const CLI::App *sub : command.get_subcommands([](const CLI::App *) { return true; }))
    names.push_back(sub->get_name());
  return names;
}

static int reportUsage(const std::string &program, const CLI::App &app,
                       const CLI::ParseError &error) {
  auto parsed = app.get_subcommands();
  const CLI::App &command = parsed.empty() ? app : *parsed.back();
  std::string message = error.what();
  if (dynamic_cast<const CLI::ExtrasError *>(&error)) {
    std::vector<std::string> extras = command.remaining();
    if (extras.empty())
      extras = app.remaining();
    std::string word = extras.empty() ? "" : extras.front();
    std::string plain = word.substr(0, word.find('='));
    bool isOption = word.compare(0, 1, "-") == 0;
    message = concat("unknown ",
                     isOption         ? "option '"
                     : parsed.empty() ? "command '"
                                      : "argument '",
                     plain, "'", suggest(plain, optionNames(command)));
  } else if (parsed.empty()) {
    std::vector<std::string> words = app.remaining();
    std::vector<std::string> names = optionNames(app);
    message = words.empty() ? "name a command"
                            : concat("unknown command '", words[0], "'", suggest(words[0], names));
  }
  std::string path = parsed.empty() ? program : program + " " + command.get_name();
  std::fprintf(stderr, "error: %s\nSee %s --help\n", message.c_str(), path.c_str());
  return 2;
}

int runCommandLine(int argc, const char *const *argv, const char *json, const quern_program *table,
                   const quern_device_code *deviceCodes) {
  std::string program = argc ? argv[0] : "model";
  program = program.substr(program.rfind('/') + 1);
  // A file beyond the size limit is an error of the write, which says so; not a silent end.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    Module module = Module::parse(json, table, deviceCodes);
    CLI::App app(concat("The model '", module.name, "' (", module.kind, "), compiled by Quern for ",
                        module.cpu.empty() ? "this processor" : module.cpu, "."),
                 program);
    app.require_subcommand(1);
    app.get_formatter()->column_width(34);
    CommandLine commands(module, app);
    commands.program = argc ? argv[0] : program;
    if (const Kind *kind = findKind(module.kind))
      kind->addCommands(commands);
    addInfoCommand(commands);
    addRunCommand(commands);
    try {
      app.parse(argc, argv);
    } catch (const CLI::Success &help) {
      return app.exit(help);
    } catch (const CLI::ParseError &error) {
      return reportUsage(program, app, error);
    }
    commands.chosen();
    if (std::fflush(stdout) != 0 || std::ferror(stdout))
      throw Error("cannot write to standard output: it is full or closed");
    return 0;
  } catch (const UsageError &error) {
    std::fflush(stdout);
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  } catch (const std::bad_alloc &) {
    std::fprintf(stderr, "error: out of memory; use a smaller batch, sequence or model\n");
  } catch (const std::exception &error) {
    std::fflush(stdout);
    std::fprintf(stderr, "error: %s\n", error.what());
  }
  return 1;
}

} // namespace quern::runtime
