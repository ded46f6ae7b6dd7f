module github.com/codegrant/codegrant/cmd/codegrant

go 1.26.0
