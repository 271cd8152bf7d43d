//===- Team.h - The threads that work on one row ----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// A kernel that is bound by memory reads and writes each element once, in the widest accesses that
/// addresses allow. So a row's elements stay in the registers of the threads that read them, as
/// long as there are few, or in shared memory. Rows that fit in neither are read again where they
/// are used again.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_TEAM_H
#define QUERN_LIB_GPU_TEAM_H

#include "quern/Emission/Views.h"
#include "quern/GPU/Thread.h"

namespace quern::nvidia {

using namespace emission; // what emitters of all targets share

/// Threads of a block, where not its shape but its number of warps matters.
constexpr int64_t blockThreads = 256;

/// Rows of up to so many columns go to one warp.
constexpr int64_t warpColumns = 1024;

/// Rows of more columns than registers hold go to blocks of so many threads: fewer rows are under
/// way at a time, so that shared memory has room for them, or the second-level cache still holds
/// them when they are read again.
constexpr int64_t longRowThreads = 512;

/// The threads that work on one row together: some lanes of a warp, a warp, or a block where rows
/// are long or of unknown length. Each takes `lanes` neighbouring columns at a time.
class Team {
public:
  /// A team for rows of `columns` elements, a multiple of `lanes` where it is not known. Rows that
  /// registers do not hold may take up to `sharedBytes` of shared memory. With `width` below 32,
  /// which isWarp allows, so many lanes are a team, and the teams of a warp do the same at the same
  /// time.
  Team(Thread &thread, mlir::Value columns, int64_t lanes, int64_t sharedBytes = 0,
       int64_t width = warpSize);

  /// Whether rows of `columns` elements (an index of the host or the device) go to a warp.
  static bool isWarp(mlir::Value columns);
  /// So many lanes have something to do in a row.
  static int64_t widthFor(mlir::Value columns, int64_t lanes);
  /// Threads of a block that has teams for such rows.
  static int64_t threadsFor(mlir::Value columns);

  Thread &t;
  const mlir::Value columns;
  const int64_t lanes;

  /// A thread's share of the elements of a row, in the type that they are computed in.
  struct Part {
    mlir::Value row; ///< where they are, 1-D
    mlir::Type type;
    /// They themselves, where there are few: step by step, `lanes` each. In steps past the end of
    /// the row they are anything.
    llvm::SmallVector<mlir::Value> held;
    mlir::Value copy; ///< of the whole groups of a row, in shared memory, where there is one
    mlir::Value last; ///< this thread's one of the columns past these, where there are some

    mlir::Value source() const { return copy ? copy : row; }
  };
  using Parts = llvm::ArrayRef<Part>;
  using Values = llvm::SmallVector<mlir::Value>;

  Part read(mlir::Value row, mlir::Type type);

  /// Writes `element(elements of inputs)` to each column of `row`. Returns what is there now.
  Part write(Parts inputs, mlir::Value row,
             llvm::function_ref<mlir::Value(mlir::ValueRange)> element);

  /// The sums over all columns of each of the `count` values of `terms(elements of inputs)`, in a
  /// fixed order; in every thread of the team.
  Values sums(Parts inputs, int64_t count, mlir::Type type,
              llvm::function_ref<Values(mlir::ValueRange)> terms);
  mlir::Value sum(const Part &input, llvm::function_ref<mlir::Value(mlir::Value)> term);

  /// Goes through this thread's columns, `lanes` at a time, and then one where columns are left:
  /// `body(elements of inputs, one list a lane, carried)` returns the values to carry on.
  using Body = llvm::function_ref<Values(llvm::ArrayRef<Values>, mlir::ValueRange)>;
  Values walk(Parts inputs, mlir::ValueRange carried, Body body);

  /// One thread's value each, combined over the team.
  mlir::Value combine(mlir::Value value, Thread::Combine combine);
  mlir::Value sum(mlir::Value value);

  /// Runs `body(column)` for the first of each `lanes` columns that this thread has; `lanes`
  /// divides `columns`.
  void forGroups(llvm::function_ref<void(mlir::Value)> body);
  Values forGroups(mlir::ValueRange carried,
                   llvm::function_ref<Values(mlir::Value, mlir::ValueRange)> body);

  /// Makes what the team wrote to memory visible to all of it.
  void fence();

  /// Runs `body` on one thread of the team.
  void onFirst(llvm::function_ref<void()> body);

  /// i1: whether there is a row for this team, which neither reads nor writes one otherwise. Null:
  /// there is.
  mlir::Value isActive;

  mlir::Value number(); ///< this team among those of the launch
  mlir::Value count();  ///< the teams of the launch

private:
  friend class ColumnSums;
  mlir::Value rank();
  int64_t size() const { return warp ? width : t.threads; }
  void whenActive(llvm::function_ref<void()> body) { isActive ? t.when(isActive, body) : body(); }
  Values overTeam(mlir::ValueRange values, Thread::Combine combine);
  mlir::Value firstColumn(int64_t step);
  /// Runs `body` unless step `step` is past the end of the row.
  void whenInside(int64_t step, llvm::function_ref<void()> body);
  Values whenInside(int64_t step, mlir::ValueRange otherwise, llvm::function_ref<Values()> body);
  mlir::Value copyOf(mlir::Value row);
  /// Elements of inputs that stand in memory: of the group at `column`, of this thread's last.
  llvm::SmallVector<Values> loadGroup(Parts inputs, mlir::Value column);
  Values loadLast(Parts inputs);
  /// Whether this thread has one of the columns that are no whole group, and which.
  mlir::Value hasLast() { return t.less(rank(), t.index(tail)); }
  mlir::Value lastColumn() { return emission::addIndex(t, grouped, rank()); }
  const bool warp;
  const int64_t width;    ///< lanes of a team that is no block
  int64_t sharedLeft;     ///< bytes of shared memory that copies of rows may take
  int64_t tail = 0;       ///< columns that are no whole group: one for each of the first threads
  mlir::Value grouped;    ///< the others
  int64_t steps = 0;      ///< 0 where elements are not held
  int64_t wholeSteps = 0; ///< so many of them are inside of the row in every thread
};

/// Sums for each column over all the rows that a team takes: in registers where a row's elements
/// are held there, else in memory. The team's lanes divide its columns.
class ColumnSums {
public:
  /// Sums that end in `row`, 1-D, whose elements have the type `type`.
  ColumnSums(Team &team, mlir::Value row, mlir::Type type) : team(team), row(row), type(type) {}

  /// The values that a loop over rows carries, at its start.
  Team::Values initial();
  /// Adds `term(elements of inputs)` to the sum of each column.
  Team::Values add(Team::Parts inputs, mlir::ValueRange carried,
                   llvm::function_ref<mlir::Value(mlir::ValueRange)> term);
  /// Sees to it that the sums are in `row`.
  void finish(mlir::ValueRange carried);

private:
  Team &team;
  mlir::Value row;
  mlir::Type type;
};

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_TEAM_H
