// RUN: quern-opt %s --quern-derive=programs=generate --split-input-file --verify-diagnostics

// expected-error @+1 {{generate cannot be derived: its forward function does not take tokens alone, one i32 [batch, sequence] tensor}}
quern.model @floats kind("test") {
  quern.function @forward(%x: tensor<?x?x4xf32> {quern.dims = ["batch", "sequence", ""]}) -> tensor<?x?x4xf32> {
    quern.return %x : tensor<?x?x4xf32>
  }
}

// -----

// expected-error @+1 {{generate cannot be derived: its forward function does not take tokens alone}}
quern.model @two kind("test") {
  quern.parameter @table : tensor<9x4xf32> init(normal, 0.02)
  quern.function @forward(%x: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]}, %y: tensor<?x?x4xf32> {quern.dims = ["batch", "sequence", ""]})
      -> tensor<?x?x4xf32> {
    %t = quern.read @table : tensor<9x4xf32>
    %e = quern.embedding %x, %t : tensor<?x?xi32>, tensor<9x4xf32>
    %s = arith.addf %e, %y : tensor<?x?x4xf32>
    quern.return %s : tensor<?x?x4xf32>
  }
}

// -----

// expected-error @+1 {{generate cannot be derived: the first result of its forward function is not logits, [batch, sequence, vocabulary] with a vocabulary of 1 to 4194304}}
quern.model @heads kind("test") {
  quern.parameter @table : tensor<9x4xf32> init(normal, 0.02)
  quern.function @forward(%x: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]}) -> tensor<?x?x2x2xf32> {
    %t = quern.read @table : tensor<9x4xf32>
    %e = quern.embedding %x, %t : tensor<?x?xi32>, tensor<9x4xf32>
    %h = quern.split_heads %e heads 2 : tensor<?x?x4xf32>
    quern.return %h : tensor<?x?x2x2xf32>
  }
}
