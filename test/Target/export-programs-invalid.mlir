// RUN: quern-opt %s -split-input-file -verify-diagnostics -quern-export-programs=cpu=x86-64-v3

module attributes {quern.model = "{}"} {
  // expected-error @+1 {{program 'f' does not take the arena as last argument}}
  func.func @f(%x: memref<?xf32>) attributes {quern.program} {
    return
  }
}

// -----

module attributes {quern.model = "{}"} {
  // expected-error @+1 {{program 'f' has no formula 'f.arena_bytes' for the size of its arena}}
  func.func @f(%x: memref<?xf32>, %arena: memref<?xi8> {quern.arena}) attributes {quern.program} {
    return
  }
}

// -----

module attributes {quern.model = "{}"} {
  // expected-error @+1 {{program 'f' takes 'memref<?xf32, strided<[2]>>'; only dense tensors of at most 8 dimensions}}
  func.func @f(%x: memref<?xf32, strided<[2]>>, %arena: memref<?xi8> {quern.arena}) attributes {quern.program} {
    return
  }
}

// -----

// expected-error @+1 {{attribute 'quern.model' is not the text of a JSON object}}
module attributes {quern.model = "[1, 2]"} {
}

// -----

// expected-error @+1 {{attribute 'quern.model' is not the text of a JSON object}}
module attributes {quern.model = "{1}"} {
}

// -----

// expected-error @+1 {{attribute 'quern.model' is not the text of a JSON object}}
module attributes {quern.model = 1 : i64} {
}
