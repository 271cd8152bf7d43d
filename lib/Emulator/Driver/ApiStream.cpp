//===- ApiStream.cpp - Streams, events and graphs ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Api.h"

namespace quern::cuda {

static void refuseCapture(const StreamRecord &stream) {
  if (stream.capture)
    throw Failure{StreamCaptureUnsupported, "the stream is being captured"};
}

extern "C" {

Result cuStreamCreate(Stream *stream, unsigned flags) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    need(stream);
    if (flags != streamNonBlocking)
      throw Failure{InvalidValue, "only streams without implicit waiting are emulated"};
    *stream = state.streams.make(&context);
  });
}

Result cuStreamDestroy_v2(Stream stream) {
  return guardedContext([&](DriverState &state, ContextRecord &) {
    StreamRecord &record = state.streams.get(stream);
    record.capture = nullptr;
    record.drain(record.enqueued);
    for (const auto &[handle, event] : state.events)
      if (event->stream == stream)
        event->stream = nullptr; // it has happened
    state.streams.destroy(stream);
  });
}

Result cuStreamSynchronize(Stream stream) {
  return guardedContext([&](DriverState &state, ContextRecord &) {
    StreamRecord &record = state.streams.get(stream);
    refuseCapture(record);
    record.drain(record.enqueued);
  });
}

Result cuStreamWaitEvent(Stream stream, Event event, unsigned) {
  return guardedContext([&](DriverState &state, ContextRecord &) {
    StreamRecord &record = state.streams.get(stream);
    refuseCapture(record);
    // What the event stands for now; it may be recorded again before this comes to its turn.
    EventRecord awaited = state.events.get(event);
    if (awaited.stream)
      record.enqueue([awaited] { awaited.stream->drain(awaited.position); });
  });
}

Result cuEventCreate(Event *event, unsigned) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    need(event);
    *event = state.events.make(&context);
  });
}

Result cuEventDestroy_v2(Event event) {
  return guardedContext([&](DriverState &state, ContextRecord &) { state.events.destroy(event); });
}

Result cuEventRecord(Event event, Stream stream) {
  return guardedContext([&](DriverState &state, ContextRecord &) {
    StreamRecord &record = state.streams.get(stream);
    refuseCapture(record);
    EventRecord &place = state.events.get(event);
    place.stream = &record;
    place.position = record.enqueued;
  });
}

Result cuEventSynchronize(Event event) {
  return guardedContext([&](DriverState &state, ContextRecord &) {
    EventRecord &record = state.events.get(event);
    if (record.stream)
      record.stream->drain(record.position);
  });
}

Result cuStreamBeginCapture_v2(Stream stream, CaptureMode) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    StreamRecord &record = state.streams.get(stream);
    refuseCapture(record);
    record.capture = std::make_unique<GraphRecord>(GraphRecord{&context});
  });
}

Result cuStreamEndCapture(Stream stream, Graph *graph) {
  return guardedContext([&](DriverState &state, ContextRecord &) {
    need(graph);
    StreamRecord &record = state.streams.get(stream);
    if (!record.capture)
      throw Failure{StreamCaptureUnmatched, "the stream is not being captured"};
    *graph = state.graphs.adopt(std::move(record.capture));
  });
}

Result cuGraphInstantiateWithFlags(GraphExecution *execution, Graph graph, unsigned long long) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    need(execution);
    *execution = state.executions.make(&context, std::make_shared<const std::vector<Operation>>(
                                                     state.graphs.get(graph).operations));
  });
}

Result cuGraphLaunch(GraphExecution execution, Stream stream) {
  return guardedContext([&](DriverState &state, ContextRecord &) {
    StreamRecord &record = state.streams.get(stream);
    refuseCapture(record);
    record.enqueue([operations = state.executions.get(execution).operations] {
      for (const Operation &operation : *operations)
        operation();
    });
  });
}

Result cuGraphExecDestroy(GraphExecution execution) {
  return guardedContext(
      [&](DriverState &state, ContextRecord &) { state.executions.destroy(execution); });
}

Result cuGraphDestroy(Graph graph) {
  return guardedContext([&](DriverState &state, ContextRecord &) { state.graphs.destroy(graph); });
}

} // extern "C"

} // namespace quern::cuda
