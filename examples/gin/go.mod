module github.com/codegrant/codegrant/examples/gin

go 1.26.0

replace github.com/codegrant/codegrant => ../..

require (
	github.com/codegrant/codegrant v0.0.0
	github.com/gin-gonic/gin v1.12.0
	github.com/stretchr/testify v1.12.1
)
